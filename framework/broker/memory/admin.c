#include <string.h>

#include "base/alloc.h"
#include "broker/export.h"
#include "broker/memory/admin.h"
#include "broker/memory/receiver.h"

static bide_code no_memory(bide_error *error)
{
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

/* ---- figures ---- */

static int64_t length(const struct bide_memory_rows *rows)
{
    const struct bide_memory_row *row;
    int64_t n = 0;
    TAILQ_FOREACH(row, rows, link)
    n++;
    return n;
}

static int64_t dead_of_queue(const struct bide_memory_store *store, const struct bide_memory_queue *queue)
{
    const struct bide_memory_row *row;
    int64_t n = 0;
    TAILQ_FOREACH(row, &store->dead, link)
    n += row->queue == queue;
    return n;
}

static int64_t ready_for_ms(const struct bide_memory_queue *queue, int64_t now_ms)
{
    const struct bide_memory_row *first = TAILQ_FIRST(&queue->ready);
    if (!first)
        return 0;
    const struct bide_message *message = first->message;
    int64_t since_ms = message->due_ms > message->sent_ms ? message->due_ms : message->sent_ms;
    return now_ms > since_ms ? now_ms - since_ms : 0;
}

static void fill_row(
    struct bide_memory_admin *admin, struct bide_memory_queue *queue, struct bide_queue_stats *stats)
{
    const struct bide_memory_receiver *receiver;
    bide_memory_promote(admin->store, queue, bide_wall_ms(admin->clock));
    *stats = (struct bide_queue_stats){.ready = length(&queue->ready),
        .delayed = length(&queue->delayed),
        .in_flight = queue->held,
        .cancelled = queue->cancelled,
        .landing = BIDE_UNKNOWN_COUNT};
    memcpy(stats->name, queue->name, sizeof stats->name);
    stats->oldest_ready_ms = ready_for_ms(queue, bide_wall_ms(admin->clock));
    stats->dead = dead_of_queue(admin->store, queue);
    TAILQ_FOREACH(receiver, &admin->store->receivers, link)
    for (size_t i = 0; i < receiver->n_served; i++)
        stats->workers += receiver->served[i].queue == queue;
}

static bide_code get_stats(struct bide_admin *base, struct bide_broker_stats *ret_stats, bide_error *error)
{
    struct bide_memory_admin *admin = (struct bide_memory_admin *)base;
    struct bide_broker_stats stats = {0};
    struct bide_memory_queue *queue;
    bide_memory_lock();
    TAILQ_FOREACH(queue, &admin->store->queues, link)
    stats.n_queues++;
    stats.queues = bide_calloc(stats.n_queues + 1, sizeof *stats.queues);
    size_t i = 0;
    if (stats.queues)
        TAILQ_FOREACH(queue, &admin->store->queues, link)
        {
            struct bide_queue_stats *row = &stats.queues[i];
            fill_row(admin, queue, row);
            stats.delayed_total += row->delayed;
            i += !bide_is_topic(row->name) || row->dead > 0;
        }
    stats.n_queues = i;
    bide_memory_unlock();
    if (!stats.queues)
        return no_memory(error);
    *ret_stats = stats;
    return BIDE_OK;
}

/* ---- dead letters ---- */

static bool matches(const struct bide_dead_filter *filter, const struct bide_memory_row *row)
{
    return bide_dead_matches(filter, &(struct bide_dead_letter){row->message, row->reason, row->died_ms});
}

/* Would a replay park it again at once? */
static bool is_stranded(const struct bide_memory_store *store, const struct bide_message *message)
{
    return bide_is_topic(message->queue) && !bide_memory_has_subscription(store, message->queue + 1);
}

/* Those that match, in their order, into `to`: out of everybody's way until they are put somewhere. */
static void choose(struct bide_memory_admin *admin, const struct bide_dead_filter *filter, bool replays,
    struct bide_memory_rows *to)
{
    size_t n = 0, most = filter->limit ? filter->limit : SIZE_MAX;
    struct bide_memory_row *next;
    for (struct bide_memory_row *row = TAILQ_FIRST(&admin->store->dead); row && n < most; row = next) {
        next = TAILQ_NEXT(row, link);
        if (!matches(filter, row) || (replays && is_stranded(admin->store, row->message)))
            continue;
        TAILQ_REMOVE(&admin->store->dead, row, link);
        TAILQ_INSERT_TAIL(to, row, link);
        n++;
    }
}

/* Back among the others, in the order of their deaths. */
static void put_back(struct bide_memory_admin *admin, struct bide_memory_rows *rows)
{
    struct bide_memory_row *row, *older;
    while ((row = TAILQ_LAST(rows, bide_memory_rows))) {
        TAILQ_REMOVE(rows, row, link);
        older = TAILQ_FIRST(&admin->store->dead);
        while (older && older->died_ms > row->died_ms)
            older = TAILQ_NEXT(older, link);
        if (older)
            TAILQ_INSERT_BEFORE(older, row, link);
        else
            TAILQ_INSERT_TAIL(&admin->store->dead, row, link);
    }
}

/* The visitor may call the broker: it sees copies, without the lock. */
static bide_code dead_each(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_dead_visit *visit, void *user, bide_error *error)
{
    struct bide_memory_admin *admin = (struct bide_memory_admin *)base;
    size_t seen = 0, most = filter->limit ? filter->limit : SIZE_MAX;
    for (size_t place = 0; seen < most; place++) {
        struct bide_dead_letter letter = {0};
        struct bide_message *copy = NULL;
        bide_memory_lock();
        struct bide_memory_row *row = TAILQ_FIRST(&admin->store->dead);
        for (size_t i = 0; i < place && row; i++)
            row = TAILQ_NEXT(row, link);
        bool shown = row && matches(filter, row);
        if (shown) {
            copy = bide_message_copy(row->message);
            letter = (struct bide_dead_letter){copy, row->reason, row->died_ms};
        }
        bide_memory_unlock();
        if (!row)
            break;
        if (shown && !copy)
            return no_memory(error);
        bool goes_on = !shown || visit(user, &letter);
        seen += shown;
        bide_message_destroy(copy);
        if (!goes_on)
            break;
    }
    return BIDE_OK;
}

/* What becomes of one that was chosen. due_ms: of its next run. False: there is no memory. */
typedef bool work_on(struct bide_memory_admin *admin, struct bide_memory_row *row, int64_t due_ms);

static bool revive(struct bide_memory_admin *admin, struct bide_memory_row *row, int64_t due_ms)
{
    struct bide_message again;
    const struct bide_message *const one[] = {&again};
    bide_message_replay(row->message, due_ms, &again);
    if (!bide_memory_send(admin->store, one, 1, bide_wall_ms(admin->clock)))
        return false;
    bide_memory_row_destroy(row);
    return true;
}

static bool drop(struct bide_memory_admin *admin, struct bide_memory_row *row, int64_t due_ms)
{
    (void)admin;
    (void)due_ms;
    bide_memory_row_destroy(row);
    return true;
}

/* The oldest come first. */
static bide_code work_on_each(struct bide_memory_admin *admin, const struct bide_dead_filter *filter,
    work_on *work, bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    struct bide_memory_rows chosen = TAILQ_HEAD_INITIALIZER(chosen);
    struct bide_memory_row *row;
    bide_code code = BIDE_OK;
    *ret_n = 0;
    bide_memory_lock();
    choose(admin, filter, work == revive, &chosen);
    uint64_t total = (uint64_t)length(&chosen);
    while (code == BIDE_OK && (row = TAILQ_LAST(&chosen, bide_memory_rows)) &&
           (!progress || progress(user, *ret_n, total))) {
        TAILQ_REMOVE(&chosen, row, link);
        if (work(admin, row, bide_dead_due_ms(&filter->spread, *ret_n, bide_wall_ms(admin->clock)))) {
            ++*ret_n;
            continue;
        }
        TAILQ_INSERT_TAIL(&chosen, row, link);
        code = no_memory(error);
    }
    put_back(admin, &chosen);
    bide_memory_unlock();
    return code;
}

static bide_code dead_retry(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    return work_on_each((struct bide_memory_admin *)base, filter, revive, progress, user, ret_n, error);
}

static bide_code dead_drop(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    return work_on_each((struct bide_memory_admin *)base, filter, drop, progress, user, ret_n, error);
}

static bide_code dead_trim(struct bide_admin *base, const struct bide_dead_bounds *bounds,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    struct bide_memory_store *store = ((struct bide_memory_admin *)base)->store;
    struct bide_memory_row *younger;
    bool goes_on = true;
    (void)error;
    *ret_n = 0;
    bide_memory_lock();
    for (struct bide_memory_row *row = TAILQ_LAST(&store->dead, bide_memory_rows); row && goes_on;
         row = younger) {
        younger = TAILQ_PREV(row, bide_memory_rows, link);
        bool is_surplus = bounds->max_count > 0 && dead_of_queue(store, row->queue) > bounds->max_count;
        if (row->died_ms >= bounds->died_before_ms && !is_surplus)
            continue;
        TAILQ_REMOVE(&store->dead, row, link);
        bide_memory_row_destroy(row);
        ++*ret_n;
        goes_on = !progress || progress(user, *ret_n, *ret_n);
    }
    bide_memory_unlock();
    return BIDE_OK;
}

static bide_code dead_add(
    struct bide_admin *base, const struct bide_dead_letter *letters, size_t n, bide_error *error)
{
    struct bide_memory_admin *admin = (struct bide_memory_admin *)base;
    bide_code code = BIDE_OK;
    bide_memory_lock();
    for (size_t i = 0; i < n && code == BIDE_OK; i++) {
        struct bide_memory_row *row = bide_memory_row(admin->store, letters[i].message);
        if (row)
            bide_memory_bury(admin->store, row, letters[i].reason, letters[i].died_ms);
        else
            code = no_memory(error);
    }
    bide_memory_unlock();
    return code;
}

/* ---- carrying a backlog elsewhere ---- */

struct taken {
    struct bide_memory_rows waiting, dead; /* out of circulation: offered, and not carried */
    struct bide_memory_row *rows[BIDE_EXPORT_BATCH];
    struct bide_export_batch batch;
};

static bool take(struct taken *taken, struct bide_memory_rows *from, struct bide_memory_row *row, bool dead)
{
    struct bide_message *copy = bide_message_copy(row->message);
    if (!copy)
        return false;
    TAILQ_REMOVE(from, row, link);
    TAILQ_INSERT_TAIL(dead ? &taken->dead : &taken->waiting, row, link);
    taken->rows[taken->batch.n] = row;
    if (dead)
        bide_export_batch_add_dead(&taken->batch, copy, row->reason, row->died_ms);
    else
        bide_export_batch_add(&taken->batch, copy, NULL, 0);
    return true;
}

static bool take_from(struct taken *taken, struct bide_memory_rows *from, const char *queue, bool dead)
{
    struct bide_memory_row *next;
    for (struct bide_memory_row *row = TAILQ_FIRST(from); row && !bide_export_batch_is_full(&taken->batch);
         row = next) {
        next = TAILQ_NEXT(row, link);
        if ((!queue || strcmp(row->queue->name, queue) == 0) && !take(taken, from, row, dead))
            return false;
    }
    return true;
}

static bool take_batch(struct bide_memory_admin *admin, struct taken *taken, const char *name)
{
    struct bide_memory_queue *queue;
    bool complete = true;
    TAILQ_FOREACH(queue, &admin->store->queues, link)
    {
        complete = complete && take_from(taken, &queue->ready, name, false);
        complete = complete && take_from(taken, &queue->delayed, name, false);
    }
    return complete && take_from(taken, &admin->store->dead, name, true);
}

static void delete_carried(struct taken *taken)
{
    for (size_t i = 0; i < taken->batch.n; i++) {
        const struct bide_export *item = &taken->batch.items[i];
        if (!item->carried)
            continue;
        if (item->dead)
            TAILQ_REMOVE(&taken->dead, taken->rows[i], link);
        else
            TAILQ_REMOVE(&taken->waiting, taken->rows[i], link);
        bide_memory_row_destroy(taken->rows[i]);
    }
    bide_export_batch_clear(&taken->batch);
}

static bide_code export_each(
    struct bide_admin *base, const char *queue, bide_export_visit *visit, void *user, bide_error *error)
{
    struct bide_memory_admin *admin = (struct bide_memory_admin *)base;
    struct taken *taken = bide_calloc(1, sizeof *taken);
    struct bide_memory_row *row;
    bide_code code = BIDE_OK;
    if (!taken)
        return no_memory(error);
    TAILQ_INIT(&taken->waiting);
    TAILQ_INIT(&taken->dead);
    do {
        bide_memory_lock();
        if (!take_batch(admin, taken, queue))
            code = no_memory(error);
        bide_memory_unlock();
        size_t n = taken->batch.n;
        if (n == 0)
            break;
        if (code == BIDE_OK)
            code = visit(user, taken->batch.items, n, error);
        delete_carried(taken);
    } while (code == BIDE_OK);
    bide_memory_lock();
    while ((row = TAILQ_FIRST(&taken->waiting))) {
        TAILQ_REMOVE(&taken->waiting, row, link);
        bide_memory_put(admin->store, row, bide_wall_ms(admin->clock));
    }
    put_back(admin, &taken->dead);
    bide_memory_unlock();
    bide_free(taken);
    return code;
}

/* ---- the rest of the contract ---- */

static bide_code verify(struct bide_admin *base, bide_finding_sink *sink, void *user, bide_error *error)
{
    (void)base, (void)error;
    sink(user, &(struct bide_finding){.severity = BIDE_FINDING_OK,
                   .subject = "memory",
                   .text = "its messages are this process's, and end with it"});
    return BIDE_OK;
}

static void clear(struct bide_memory_rows *rows)
{
    struct bide_memory_row *row;
    while ((row = TAILQ_FIRST(rows))) {
        TAILQ_REMOVE(rows, row, link);
        bide_memory_row_destroy(row);
    }
}

static bide_code same_place(
    struct bide_admin *base, struct bide_admin *other, bool *ret_same, bide_error *error)
{
    (void)error;
    *ret_same = ((struct bide_memory_admin *)base)->store == ((struct bide_memory_admin *)other)->store;
    return BIDE_OK;
}

static bide_code erase(struct bide_admin *base, bide_error *error)
{
    struct bide_memory_admin *admin = (struct bide_memory_admin *)base;
    struct bide_memory_queue *queue;
    (void)error;
    bide_memory_lock();
    clear(&admin->store->dead);
    TAILQ_FOREACH(queue, &admin->store->queues, link)
    {
        clear(&queue->ready);
        clear(&queue->delayed);
        queue->is_joined = false;
    }
    bide_memory_unlock();
    return BIDE_OK;
}

static void destroy(struct bide_admin *base)
{
    bide_free(base);
}

static const struct bide_admin_ops ops = {
    .stats = get_stats,
    .dead_each = dead_each,
    .dead_retry = dead_retry,
    .dead_drop = dead_drop,
    .dead_trim = dead_trim,
    .find = bide_memory_find,
    .change = bide_memory_change,
    .export_each = export_each,
    .dead_add = dead_add,
    .verify = verify,
    .join = bide_memory_join,
    .leave = bide_memory_leave,
    .subscriptions = bide_memory_subscriptions,
    .same_place = same_place,
    .erase = erase,
    .destroy = destroy,
};

bide_code bide_memory_open_admin(
    const struct bide_broker_options *options, struct bide_admin **ret_admin, bide_error *error)
{
    struct bide_memory_admin *admin = bide_calloc(1, sizeof *admin);
    if (!admin)
        return no_memory(error);
    *admin = (struct bide_memory_admin){.base.ops = &ops, .clock = options->clock};
    bide_code code = bide_memory_store_open(options, &admin->store, error);
    if (code == BIDE_OK)
        *ret_admin = &admin->base;
    else
        bide_free(admin);
    return code;
}
