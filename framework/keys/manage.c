/* bide/admin.h, over whatever adapter. */
#include "bide/admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "broker/broker.h"
#include "keys/admin.h"
#include "keys/errand.h"
#include "keys/mark.h"
#include "store/configured.h"

enum {
    DEFAULT_TIMEOUT_MS = 10 * 1000,
    FREED_AT_ONCE = 100,
    ALL_STATES = BIDE_STATE_DELAYED | BIDE_STATE_READY | BIDE_STATE_RUNNING
};

/* ---- opening ---- */

static bide_code open_by_url(const struct bide_url *url, const bide_admin_options *given,
    const struct bide_adapter *adapter, bide_admin **ret_admin, bide_error *error)
{
    char name[320] = "bide admin ", host[256] = "";
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "bide admin %s:%d", host, (int)getpid());
    const struct bide_broker_options options = {
        .url = url,
        .name_space = given->name_space ? given->name_space : "bide",
        .base_dir = given->base_dir ? given->base_dir : ".",
        .client_name = name,
        .timeout_ms = given->timeout_ms > 0 ? given->timeout_ms : DEFAULT_TIMEOUT_MS,
        .clock = bide_clock_system(),
    };
    if (!bide_namespace_valid(options.name_space))
        return bide_fail(error, BIDE_E_CONFIG, "'%.100s' is not a namespace: letters, digits, '-' and '_'",
            options.name_space);
    return adapter->open_admin(&options, ret_admin, error);
}

/* Without a store, nothing is refused but what needs it. */
static void take_store(struct bide_admin *admin, const char *broker_url, const char *store_url,
    const struct bide_store_options *options)
{
    if (bide_store_open_for(broker_url, store_url, options, "a unique key", &admin->store, NULL) != BIDE_OK)
        admin->store = NULL;
}

void bide_admin_take_store(struct bide_admin *admin, const struct bide_config *config)
{
    take_store(admin, config->broker, config->store,
        &(struct bide_store_options){.name_space = config->name_space,
            .base_dir = config->dir,
            .client_name = "bide admin",
            .timeout_ms = DEFAULT_TIMEOUT_MS});
}

bide_code bide_admin_open(
    const char *url_text, const bide_admin_options *options, bide_admin **ret_admin, bide_error *error)
{
    const bide_admin_options none = {0};
    const bide_admin_options *given = options ? options : &none;
    const struct bide_adapter *adapter;
    struct bide_url url;
    bide_code code = bide_url_parse(url_text, &url, error);
    if (code != BIDE_OK)
        return code;
    code = bide_adapter_find(&url, &adapter, error);
    if (code == BIDE_OK)
        code = bide_adapter_take_option(adapter, &url, "queue_type", given->queue_type, error);
    if (code == BIDE_OK)
        code = open_by_url(&url, given, adapter, ret_admin, error);
    bide_url_clear(&url);
    if (code == BIDE_OK)
        take_store(*ret_admin, url_text, given->store,
            &(struct bide_store_options){.name_space = given->name_space ? given->name_space : "bide",
                .base_dir = given->base_dir ? given->base_dir : ".",
                .client_name = "bide admin",
                .timeout_ms = given->timeout_ms > 0 ? given->timeout_ms : DEFAULT_TIMEOUT_MS});
    return code;
}

void bide_admin_close(bide_admin *admin)
{
    if (admin)
        bide_store_destroy(admin->store);
    bide_admin_destroy(admin);
}

static bide_code cannot_search(bide_error *error)
{
    return bide_fail(error, BIDE_E_CONFIG,
        "RabbitMQ cannot search its queues, so a message that waits there cannot be found: it can be "
        "cancelled "
        "by its id or unique key, rescheduled by its unique key; `bide list delayed` says how many wait");
}

/* ---- the selection as adapters take it ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct choice {
    bide_selection selection;
    const char **ids; /* sorted, each once; owned */
    bide_fate *fates; /* of each */
};

static bide_code choose(const bide_selection *given, struct choice *ret_choice, bide_error *error)
{
    struct choice choice = {.selection = *given};
    if (choice.selection.states == 0)
        choice.selection.states = ALL_STATES;
    choice.ids = bide_calloc(given->n_ids + 1, sizeof *choice.ids);
    choice.fates = bide_calloc(given->n_ids + 1, sizeof *choice.fates);
    if (!choice.ids || !choice.fates) {
        bide_free(choice.ids);
        bide_free(choice.fates);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    size_t n = 0;
    for (size_t i = 0; i < given->n_ids; i++)
        choice.ids[i] = given->ids[i];
    qsort(choice.ids, given->n_ids, sizeof *choice.ids, by_text);
    for (size_t i = 0; i < given->n_ids; i++)
        if (n == 0 || strcmp(choice.ids[n - 1], choice.ids[i]) != 0)
            choice.ids[n++] = choice.ids[i];
    choice.selection.ids = choice.ids;
    choice.selection.n_ids = n;
    *ret_choice = choice;
    return BIDE_OK;
}

static void release(struct choice *choice)
{
    bide_free(choice->ids);
    bide_free(choice->fates);
}

/* ---- looking ---- */

bide_code bide_admin_list(bide_admin *admin, const bide_selection *selection, char cursor[BIDE_CURSOR_SIZE],
    bide_found_visit *visit, void *user, bide_error *error)
{
    struct choice choice;
    if (!admin->ops->find)
        return cannot_search(error);
    bide_code code = choose(selection, &choice, error);
    if (code != BIDE_OK)
        return code;
    code = admin->ops->find(admin, &choice.selection, cursor, visit, user, error);
    release(&choice);
    return code;
}

struct showing {
    bide_found_visit *visit;
    void *user;
    size_t n;
    bool stopped;
};

static bool show_queued(void *user, const bide_found *found)
{
    struct showing *showing = user;
    showing->n++;
    showing->stopped = !showing->visit(showing->user, found);
    return !showing->stopped;
}

static bool show_dead(void *user, const struct bide_dead_letter *letter)
{
    const bide_found found = {
        .message = letter->message,
        .body_size = letter->message->body_size,
        .state = BIDE_STATE_DEAD,
        .worker = "",
        .since_ms = letter->died_ms,
        .reason = bide_reason_name(letter->reason),
    };
    return show_queued(user, &found);
}

/* What is known of an id that is no dead letter's, where the broker cannot be searched. */
static bide_code say_marked(struct bide_admin *admin, const char *id, bide_error *error)
{
    static const char *const said[] = {
        [BIDE_MARK_NONE] = "whether such a message waits there, nobody can tell",
        [BIDE_MARK_SET] = "it was marked as cancelled, and no worker has met such a message yet",
        [BIDE_MARK_MET] = "it was marked as cancelled, and a worker has met it and acknowledged it unrun",
    };
    enum bide_mark mark = BIDE_MARK_NONE;
    int64_t marked_ms;
    bide_code code = admin->store ? bide_mark_see(admin->store, id, &mark, &marked_ms, error) : BIDE_OK;
    if (code != BIDE_OK)
        return code;
    return bide_fail(error, BIDE_E_NOT_FOUND,
        "no dead letter has the id '%.100s', and RabbitMQ cannot search its queues: %s", id, said[mark]);
}

bide_code bide_admin_show(
    bide_admin *admin, const char *id, bide_found_visit *visit, void *user, bide_error *error)
{
    struct showing showing = {.visit = visit, .user = user};
    const bide_selection selection = {.ids = &id, .n_ids = 1, .states = ALL_STATES};
    char cursor[BIDE_CURSOR_SIZE] = "";
    bide_code code = BIDE_OK;
    if (admin->ops->find)
        code = admin->ops->find(admin, &selection, cursor, show_queued, &showing, error);
    if (code == BIDE_OK && !showing.stopped)
        code = admin->ops->dead_each(
            admin, &(struct bide_dead_filter){.ids = &id, .n_ids = 1}, show_dead, &showing, error);
    if (code != BIDE_OK || showing.n > 0)
        return code;
    if (!admin->ops->find)
        return say_marked(admin, id, error);
    return bide_fail(
        error, BIDE_E_NOT_FOUND, "no message has the id '%.100s': it has ended, or never was", id);
}

/* ---- changing ---- */

/* Cancelled messages with a unique key: the keys are freed, some at a time. */
struct freeing {
    struct bide_store *store;
    struct bide_key_errands errands;
    uint64_t n_kept; /* could not be freed, … */
    bide_error error;
    bide_code code;                  /* … because of this; BIDE_OK: nothing failed yet */
    char first[BIDE_UNIQUE_MAX + 1]; /* of them */
};

struct changing {
    struct choice choice;
    const bide_account *account;
    struct freeing freeing;
};

/* ---- keys of what was cancelled ---- */

static enum bide_key_says free_step(
    const struct bide_key_slot *slot, const struct bide_key_errand *errand, struct bide_key_slot *next)
{
    return bide_key_removed(slot, errand->message, next);
}

static void count_kept(struct freeing *freeing, const char *key, uint64_t n)
{
    if (n > 0 && freeing->n_kept == 0)
        snprintf(freeing->first, sizeof freeing->first, "%s", key);
    freeing->n_kept += n;
}

static void free_keys(struct freeing *freeing)
{
    struct bide_key_errands *errands = &freeing->errands;
    if (errands->n == 0)
        return;
    freeing->code =
        bide_key_run_errands(freeing->store, free_step, errands->items, errands->n, &freeing->error);
    if (freeing->code != BIDE_OK)
        count_kept(freeing, errands->items[0].key, errands->n);
    bide_key_errands_clear(errands);
}

/* After a failure the store is left alone: each try would wait for it. */
static void free_key(struct freeing *freeing, const struct bide_copy *copy)
{
    if (freeing->code != BIDE_OK) {
        count_kept(freeing, copy->unique, 1);
        return;
    }
    if (!bide_key_errands_add(&freeing->errands, copy, 0)) {
        freeing->code = bide_fail(&freeing->error, BIDE_E_NOMEM, "out of memory");
        count_kept(freeing, copy->unique, 1);
    } else if (freeing->errands.n == FREED_AT_ONCE) {
        free_keys(freeing);
    }
}

static bide_code say_kept(const struct freeing *freeing, bide_error *error)
{
    return bide_fail(error, freeing->code,
        "cancelled, but up to %" PRIu64 " unique keys stay taken (`bide cancel --key '%s'` frees one): %s",
        freeing->n_kept, freeing->first, freeing->error.text);
}

/* ---- what became of each ---- */

static void tell(const bide_account *account, const char *id, bide_fate fate)
{
    if (account->fate)
        account->fate(account->user, id, fate);
}

static void note(void *user, const struct bide_copy *copy, bide_fate fate)
{
    struct changing *changing = user;
    struct choice *choice = &changing->choice;
    size_t place;
    if (choice->selection.n_ids == 0)
        tell(changing->account, copy->id, fate);
    else if (bide_selection_find(&choice->selection, copy->id, &place) && fate > choice->fates[place])
        choice->fates[place] = fate;
    if (fate == BIDE_FATE_CANCELLED && *copy->unique)
        free_key(&changing->freeing, copy);
}

static bool note_dead(void *user, const struct bide_dead_letter *letter)
{
    note(user, &(struct bide_copy){letter->message->id, "", ""}, BIDE_FATE_DEAD);
    return true;
}

/* Of the ids that were nowhere: those among the dead letters. */
static bide_code look_among_dead(bide_admin *admin, struct changing *changing, bide_error *error)
{
    const bide_selection *selection = &changing->choice.selection;
    const char **ids = bide_calloc(selection->n_ids + 1, sizeof *ids);
    size_t n = 0;
    if (!ids)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < selection->n_ids; i++)
        if (changing->choice.fates[i] == BIDE_FATE_UNKNOWN)
            ids[n++] = selection->ids[i];
    const struct bide_dead_filter filter = {
        .ids = ids, .n_ids = n, .type = selection->type, .queue = selection->queue, .without_bodies = true};
    bide_code code = n > 0 ? admin->ops->dead_each(admin, &filter, note_dead, changing, error) : BIDE_OK;
    bide_free(ids);
    return code;
}

static bool progress(void *user, uint64_t done, uint64_t total)
{
    const bide_account *account = ((struct changing *)user)->account;
    return !account->progress || account->progress(account->user, done, total);
}

/* In the order given. After a failure: of those that something is known of. */
static void tell_each(const struct changing *changing, const bide_selection *given, bool all)
{
    for (size_t i = 0; i < given->n_ids; i++) {
        size_t place = 0;
        (void)bide_selection_find(&changing->choice.selection, given->ids[i], &place);
        bide_fate fate = changing->choice.fates[place];
        if (all || fate != BIDE_FATE_UNKNOWN)
            tell(changing->account, given->ids[i], fate);
    }
}

/* Ids that are no dead letters' get a mark; whether a message waits that has one, nobody can know. */
static bide_code mark_unknown(struct bide_admin *admin, struct choice *choice, bide_error *error)
{
    const bide_selection *selection = &choice->selection;
    const char **ids = bide_calloc(selection->n_ids, sizeof *ids);
    size_t n = 0;
    if (!ids)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < selection->n_ids; i++)
        if (choice->fates[i] == BIDE_FATE_UNKNOWN)
            ids[n++] = selection->ids[i];
    bide_code code =
        bide_marks_put(admin->store, ids, n, BIDE_MARK_SET, bide_wall_ms(bide_clock_system()), error);
    for (size_t i = 0; i < selection->n_ids && code == BIDE_OK; i++)
        if (choice->fates[i] == BIDE_FATE_UNKNOWN)
            choice->fates[i] = BIDE_FATE_MARKED;
    bide_free(ids);
    return code;
}

static bide_code mark_ids(
    bide_admin *admin, const bide_selection *given, struct changing *changing, bide_error *error)
{
    if (given->n_ids == 0 || given->type || given->queue)
        return cannot_search(error);
    if (!admin->store)
        return bide_store_refuse("cancelling by id", error);
    bide_code code = choose(given, &changing->choice, error);
    if (code != BIDE_OK)
        return code;
    code = look_among_dead(admin, changing, error);
    if (code == BIDE_OK)
        code = mark_unknown(admin, &changing->choice, error);
    tell_each(changing, given, code == BIDE_OK);
    release(&changing->choice);
    return code;
}

static bide_code change(bide_admin *admin, const bide_selection *given, struct bide_change *how,
    const bide_account *account, bide_error *error)
{
    const bide_account nobody = {0};
    struct changing changing = {.account = account ? account : &nobody, .freeing.store = admin->store};
    if (!admin->ops->change)
        return how->cancel ? mark_ids(admin, given, &changing, error) : cannot_search(error);
    bide_code code = choose(given, &changing.choice, error);
    if (code != BIDE_OK)
        return code;
    how->report = note;
    how->progress = progress;
    how->user = &changing;
    code = admin->ops->change(admin, &changing.choice.selection, how, error);
    free_keys(&changing.freeing);
    if (code == BIDE_OK && given->n_ids > 0)
        code = look_among_dead(admin, &changing, error);
    tell_each(&changing, given, code == BIDE_OK);
    if (code == BIDE_OK && changing.freeing.n_kept)
        code = say_kept(&changing.freeing, error);
    release(&changing.choice);
    return code;
}

bide_code bide_admin_cancel(
    bide_admin *admin, const bide_selection *selection, const bide_account *account, bide_error *error)
{
    return change(admin, selection, &(struct bide_change){.cancel = true}, account, error);
}

bide_code bide_admin_reschedule(bide_admin *admin, const bide_selection *selection, int64_t due_ms,
    const bide_account *account, bide_error *error)
{
    int64_t now_ms = bide_wall_ms(bide_clock_system());
    if (due_ms > now_ms + BIDE_DELAY_MAX_MS)
        return bide_fail(error, BIDE_E_USAGE, "the longest delay is 3650 days");
    struct bide_change how = {.due_ms = due_ms > now_ms ? due_ms : now_ms};
    return change(admin, selection, &how, account, error);
}
