/* bide/admin.h, over whatever adapter. */
#include "bide/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "broker/broker.h"

enum {
    DEFAULT_TIMEOUT_MS = 10 * 1000,
    ALL_STATES = BIDE_STATE_DELAYED | BIDE_STATE_READY | BIDE_STATE_RUNNING
};

static const char *const fate_names[] = {
    [BIDE_FATE_UNKNOWN] = "unknown",
    [BIDE_FATE_CANCELLED] = "cancelled",
    [BIDE_FATE_RESCHEDULED] = "rescheduled",
    [BIDE_FATE_DEAD] = "dead",
    [BIDE_FATE_RUNNING] = "running",
};

const char *bide_fate_name(bide_fate fate)
{
    size_t i = (size_t)fate;
    return i < sizeof fate_names / sizeof fate_names[0] ? fate_names[i] : "unknown";
}

const char *bide_message_state_name(bide_message_state state)
{
    return state == BIDE_STATE_DELAYED   ? "delayed"
           : state == BIDE_STATE_READY   ? "ready"
           : state == BIDE_STATE_RUNNING ? "running"
                                         : "dead";
}

/* ---- for adapters ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool find_id(const bide_selection *selection, const char *id, size_t *ret_place)
{
    const char *const *at = bsearch(&id, selection->ids, selection->n_ids, sizeof *selection->ids, by_text);
    if (at && ret_place)
        *ret_place = (size_t)(at - selection->ids);
    return at != NULL;
}

bool bide_selection_has(const bide_selection *selection, const struct bide_message *message, size_t *ret_id)
{
    if (selection->type && strcmp(selection->type, message->type) != 0)
        return false;
    if (selection->queue && strcmp(selection->queue, message->queue) != 0)
        return false;
    return selection->n_ids == 0 || find_id(selection, message->id, ret_id);
}

int64_t bide_changed_expiry_ms(int64_t expires_ms, int64_t due_ms, int64_t new_due_ms)
{
    if (expires_ms <= 0)
        return 0;
    int64_t moved_ms = expires_ms + (new_due_ms - due_ms);
    return moved_ms > 0 ? moved_ms : 1;
}

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
    return code;
}

void bide_admin_close(bide_admin *admin)
{
    bide_admin_destroy(admin);
}

static bide_code cannot_search(bide_error *error)
{
    return bide_fail(error, BIDE_E_CONFIG,
        "RabbitMQ cannot search its queues, so a message that waits there cannot be found by its id or type: "
        "`bide list delayed` says how many wait, `bide dead` lists dead letters; SQLite and Redis can");
}

/* ---- the selection as adapters take it ---- */

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
    return bide_fail(error, BIDE_E_NOT_FOUND,
        admin->ops->find ? "no message has the id '%.100s': it has ended, or never was"
                         : "no dead letter has the id '%.100s', and RabbitMQ cannot search its queues: "
                           "whether such a message waits there, nobody can tell",
        id);
}

/* ---- changing ---- */

struct changing {
    struct choice choice;
    const bide_account *account;
};

static void tell(const bide_account *account, const char *id, bide_fate fate)
{
    if (account->fate)
        account->fate(account->user, id, fate);
}

static void note(void *user, const char *id, bide_fate fate)
{
    struct changing *changing = user;
    struct choice *choice = &changing->choice;
    size_t place;
    if (choice->selection.n_ids == 0)
        tell(changing->account, id, fate);
    else if (find_id(&choice->selection, id, &place) && fate > choice->fates[place])
        choice->fates[place] = fate;
}

static bool note_dead(void *user, const struct bide_dead_letter *letter)
{
    note(user, letter->message->id, BIDE_FATE_DEAD);
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
        (void)find_id(&changing->choice.selection, given->ids[i], &place);
        bide_fate fate = changing->choice.fates[place];
        if (all || fate != BIDE_FATE_UNKNOWN)
            tell(changing->account, given->ids[i], fate);
    }
}

static bide_code change(bide_admin *admin, const bide_selection *given, struct bide_change *how,
    const bide_account *account, bide_error *error)
{
    const bide_account nobody = {0};
    struct changing changing = {.account = account ? account : &nobody};
    if (!admin->ops->change)
        return cannot_search(error);
    bide_code code = choose(given, &changing.choice, error);
    if (code != BIDE_OK)
        return code;
    how->report = note;
    how->progress = progress;
    how->user = &changing;
    code = admin->ops->change(admin, &changing.choice.selection, how, error);
    if (code == BIDE_OK && given->n_ids > 0)
        code = look_among_dead(admin, &changing, error);
    tell_each(&changing, given, code == BIDE_OK);
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
