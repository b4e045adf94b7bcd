#include <stdio.h>

#include "bide/log.h"
#include "broker/rabbitmq/address.h"
#include "base/killpoint.h"
#include "broker/rabbitmq/admin/batch.h"
#include "broker/rabbitmq/admin/letters.h"

enum { BATCH = 500 };

static const char replaying[] = "replay";

/* A walk through dead letters that changes them. */
struct walk {
    struct bide_rmq_admin *admin;
    const struct bide_dead_filter *filter;
    bide_code (*handle)(struct walk *walk, struct bide_rmq_pile *pile, bide_error *error);
    bide_progress *progress;
    void *user;
    uint64_t n_done, total;
    uint64_t n_put; /* published so far: a spread needs the number of each letter */
    bool is_interrupted;
    char known_queue[BIDE_NAME_MAX + 1]; /* the queue of the last unrouted letter, and whether it exists */
    bool is_known;
    uint64_t n_homeless; /* unrouted letters that stayed because their queue does not exist */
    uint64_t n_cut;      /* letters that stayed because they have only the beginning of their body */
    uint64_t n_denied;   /* letters that stayed because the broker refused them */
    bide_error why;
};

/* ---- taking ---- */

/* Takes the letters of a source, as many as it had at the beginning. Letters that arrive meanwhile stay. */
static bide_code take_all(struct bide_rmq_admin *admin, size_t source, const struct bide_dead_filter *filter,
    struct bide_rmq_pile *pile, bide_error *error)
{
    int64_t depth = 0;
    bide_code code = bide_rmq_admin_depth(admin, admin->sources.items[source].queue, &depth, error);
    size_t left = code == BIDE_OK && depth > 0 ? (size_t)depth : 0;
    while (left && code == BIDE_OK) {
        size_t n = 0;
        code = bide_rmq_letters_take(admin, source, left, filter, pile, &n, error);
        left = n ? left - n : 0;
    }
    return code;
}

static bide_code take_everything(struct bide_rmq_admin *admin, const struct bide_dead_filter *filter,
    struct bide_rmq_pile *pile, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t source = 0; source < admin->sources.n_dead && code == BIDE_OK; source++)
        code = take_all(admin, source, filter, pile, error);
    return code;
}

bide_code bide_rmq_dead_each(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_dead_visit *visit, void *user, bide_error *error)
{
    struct bide_rmq_admin *admin = (struct bide_rmq_admin *)base;
    struct bide_rmq_pile pile = {0};
    bide_code code = bide_rmq_admin_ready(admin, error);
    if (code == BIDE_OK)
        code = take_everything(admin, filter, &pile, error);
    bide_rmq_letters_give_back(admin);
    bide_rmq_pile_sort(&pile, false);
    for (size_t i = 0; i < pile.n && code == BIDE_OK; i++) {
        const struct bide_rmq_letter *letter = pile.letters[i];
        struct bide_dead_letter shown = {letter->message, letter->reason, letter->died_ms};
        if (!visit(user, &shown))
            break;
    }
    bide_rmq_pile_clear(&pile);
    return code;
}

/* ---- walking in batches ---- */

static bide_code handle(struct walk *walk, struct bide_rmq_pile *pile, bide_error *error)
{
    bide_code code = walk->handle(walk, pile, error);
    bide_rmq_pile_clear(pile);
    if (code == BIDE_OK && walk->progress && !walk->progress(walk->user, walk->n_done, walk->total))
        walk->is_interrupted = true;
    return code;
}

static bide_code walk_source(struct walk *walk, size_t source, bide_error *error)
{
    struct bide_rmq_admin *admin = walk->admin;
    int64_t depth = 0;
    bide_code code = bide_rmq_admin_depth(admin, admin->sources.items[source].queue, &depth, error);
    size_t left = code == BIDE_OK && depth > 0 ? (size_t)depth : 0;
    walk->total += left;
    while (left && code == BIDE_OK && !walk->is_interrupted) {
        struct bide_rmq_pile pile = {0};
        size_t n = 0, most = left < BATCH ? left : BATCH;
        code = bide_rmq_letters_take(admin, source, most, walk->filter, &pile, &n, error);
        if (code == BIDE_OK)
            code = handle(walk, &pile, error);
        bide_rmq_pile_clear(&pile);
        left = n ? left - n : 0;
    }
    return code;
}

/* With a limit, takes all letters first, to know which are the newest; without one, works batch by batch. In
 * each queue the oldest letters come first. */
static bide_code walk_all(struct walk *walk, bide_error *error)
{
    struct bide_rmq_pile pile = {0};
    bide_code code = bide_rmq_admin_ready(walk->admin, error);
    if (walk->filter->limit) {
        if (code == BIDE_OK)
            code = take_everything(walk->admin, walk->filter, &pile, error);
        bide_rmq_pile_sort(&pile, true);
        walk->total = pile.n;
        if (code == BIDE_OK)
            code = handle(walk, &pile, error);
        bide_rmq_pile_clear(&pile);
    } else {
        for (size_t i = 0; i < walk->admin->sources.n_dead && code == BIDE_OK && !walk->is_interrupted; i++)
            code = walk_source(walk, i, error);
    }
    bide_rmq_letters_give_back(walk->admin);
    return code;
}

/* ---- dropping ---- */

static bide_code drop_pile(struct walk *walk, struct bide_rmq_pile *pile, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < pile->n && code == BIDE_OK; i++) {
        code = bide_rmq_letter_acknowledge(walk->admin, pile->letters[i], error);
        walk->n_done += code == BIDE_OK;
    }
    return code;
}

bide_code bide_rmq_dead_drop(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    struct bide_dead_filter wanted = *filter;
    wanted.without_bodies = true;
    struct walk walk = {.admin = (struct bide_rmq_admin *)base,
        .filter = &wanted,
        .handle = drop_pile,
        .progress = progress,
        .user = user};
    bide_code code = walk_all(&walk, error);
    if (code == BIDE_OK)
        *ret_n = walk.n_done;
    return code;
}

/* ---- replaying ---- */

/* An unrouted letter is replayed only if its queue exists now: otherwise it would come back at once. A
 * topic's does so where the topic still has no subscription: AMQP cannot be asked. */
static bide_code has_home(
    struct walk *walk, const struct bide_rmq_letter *letter, bool *ret_has, bide_error *error)
{
    const char *queue = letter->message->queue;
    char name[2 * BIDE_NAME_MAX + 2];
    int64_t depth = 0;
    *ret_has = true;
    if (letter->source < walk->admin->settings->n_queues || bide_is_topic(queue))
        return BIDE_OK;
    if (strcmp(queue, walk->known_queue) != 0) {
        snprintf(name, sizeof name, "%s.%s", walk->admin->settings->name_space, queue);
        bide_code code = bide_rmq_admin_depth(walk->admin, name, &depth, error);
        if (code != BIDE_OK)
            return code;
        walk->is_known = depth >= 0 && bide_queue_name_valid(queue);
        snprintf(walk->known_queue, sizeof walk->known_queue, "%s", queue);
    }
    *ret_has = walk->is_known;
    return BIDE_OK;
}

/* A replayed dead letter starts again at attempt 1. An unrouted message continues: it keeps its due time (or
 * gets a later one from the spread), its attempt and its errors. */
static void replayed(struct walk *walk, const struct bide_rmq_letter *letter, struct bide_message *ret_again)
{
    int64_t now_ms = bide_wall_ms(walk->admin->settings->clock);
    int64_t due_ms = bide_dead_due_ms(&walk->filter->spread, walk->n_put++, now_ms);
    if (letter->reason != BIDE_REASON_UNROUTED) {
        bide_message_replay(letter->message, due_ms, ret_again);
        return;
    }
    *ret_again = *letter->message;
    ret_again->attempt++;
    if (due_ms <= now_ms || ret_again->due_ms >= due_ms)
        return;
    ret_again->due_ms = due_ms;
    if (ret_again->expires_ms && ret_again->expires_ms < due_ms)
        ret_again->expires_ms = 0; /* it would be dropped unrun, because of the spread alone */
}

struct replay {
    struct walk *walk;
    const struct bide_rmq_pile *pile;
};

static bide_code put(struct bide_rmq_batch *batch, size_t number, void *item, bide_error *error)
{
    const struct replay *replay = batch->user;
    struct walk *walk = replay->walk;
    const struct bide_rmq_letter *letter = replay->pile->letters[number];
    struct bide_rmq_publisher *publisher = &walk->admin->publisher;
    struct bide_message message;
    struct bide_rmq_route route;
    replayed(walk, letter, &message);
    bide_rmq_route_due(&route, walk->admin->settings, message.queue, &message);
    bool is_held = bide_rmq_route_holds(&route, walk->admin->settings);
    if (!bide_rmq_draft_again(&publisher->draft, letter->raw, &message, NULL, is_held))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = bide_rmq_publisher_put(
        publisher, &route.address, (struct bide_slice){message.body, message.body_size}, item, error);
    BIDE_KILL_POINT("replay/rabbitmq-published");
    return code;
}

static bide_code leave_out_homeless(
    struct walk *walk, const struct bide_rmq_pile *pile, struct bide_rmq_batch *batch, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < pile->n && code == BIDE_OK; i++) {
        bool has = false;
        code = has_home(walk, pile->letters[i], &has, error);
        if (code != BIDE_OK || has)
            continue;
        batch->items[i].state = BIDE_RMQ_BATCH_LEFT_OUT;
        walk->n_homeless++;
    }
    return code;
}

/* Deletes the letters whose copies the broker has confirmed, even if others failed. */
static bide_code acknowledge_confirmed(struct walk *walk, const struct bide_rmq_pile *pile,
    const struct bide_rmq_batch *batch, bide_error *error)
{
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->items[i].state != BIDE_RMQ_BATCH_CONFIRMED)
            continue;
        BIDE_KILL_POINT("replay/rabbitmq-confirmed");
        bide_code code = bide_rmq_letter_acknowledge(walk->admin, pile->letters[i], error);
        BIDE_KILL_POINT("replay/rabbitmq-acknowledged");
        if (code != BIDE_OK)
            return code;
        walk->n_done++;
    }
    return BIDE_OK;
}

static bide_code retry_pile(struct walk *walk, struct bide_rmq_pile *pile, bide_error *error)
{
    struct replay replay = {walk, pile};
    struct bide_rmq_batch batch = {.admin = walk->admin, .role = replaying, .put = put, .user = &replay};
    bide_error later;
    walk->n_cut += bide_rmq_pile_leave_out_cut(pile);
    bide_code code = bide_rmq_batch_init(&batch, pile->n, error);
    if (code == BIDE_OK)
        code = leave_out_homeless(walk, pile, &batch, error);
    if (code == BIDE_OK)
        code = bide_rmq_batch_publish(&batch, error);
    if (batch.n_denied)
        walk->why = batch.why;
    walk->n_denied += batch.n_denied;
    bide_code acknowledged = acknowledge_confirmed(walk, pile, &batch, code == BIDE_OK ? error : &later);
    bide_rmq_batch_clear(&batch);
    return code == BIDE_OK ? acknowledged : code;
}

bide_code bide_rmq_dead_retry(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    struct walk walk = {.admin = (struct bide_rmq_admin *)base,
        .filter = filter,
        .handle = retry_pile,
        .progress = progress,
        .user = user};
    bide_code code = bide_rmq_publisher_open(&walk.admin->publisher, replaying, false, error);
    if (code == BIDE_OK)
        code = walk_all(&walk, error);
    bide_rmq_publisher_close(&walk.admin->publisher);
    if (code == BIDE_OK && walk.n_denied)
        code = bide_fail(error, walk.why.code, "%llu were replayed, %llu stay: the broker refuses them: %s",
            (unsigned long long)walk.n_done, (unsigned long long)walk.n_denied, walk.why.text);
    if (code == BIDE_OK && walk.n_homeless)
        bide_log(BIDE_LOG_WARN, "unrouted messages stay: their queue does not exist",
            BIDE_INT("messages", (int64_t)walk.n_homeless), BIDE_STR("queue", walk.known_queue));
    if (code == BIDE_OK && walk.n_cut)
        bide_log(BIDE_LOG_WARN, "oversized messages stay: only the beginning of their body was kept",
            BIDE_INT("messages", (int64_t)walk.n_cut));
    if (code == BIDE_OK)
        *ret_n = walk.n_done;
    return code;
}
