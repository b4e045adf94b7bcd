/* Topics: a subscription is a queue that was joined. */
#include <string.h>

#include "broker/memory/admin.h"

static bool is_subscription(const struct bide_memory_queue *queue, const char *topic)
{
    return queue->is_joined && strcmp(bide_queue_topic(queue->name), topic) == 0;
}

bool bide_memory_has_subscription(const struct bide_memory_store *store, const char *topic)
{
    const struct bide_memory_queue *queue;
    TAILQ_FOREACH(queue, &store->queues, link)
    if (is_subscription(queue, topic))
        return true;
    return false;
}

/* ---- sending ---- */

static bool add(
    struct bide_memory_store *store, const struct bide_message *message, struct bide_memory_rows *rows)
{
    struct bide_memory_row *row = bide_memory_row(store, message);
    if (row)
        TAILQ_INSERT_TAIL(rows, row, link);
    return row != NULL;
}

/* The row of a message without any subscription keeps the topic as its queue. */
static bool add_parked(
    struct bide_memory_store *store, const struct bide_message *message, struct bide_memory_rows *rows)
{
    char text[BIDE_UNROUTED_TEXT];
    struct bide_message parked;
    bide_message_park(message, text, &parked);
    return add(store, &parked, rows);
}

static bool fan_out(
    struct bide_memory_store *store, const struct bide_message *message, struct bide_memory_rows *rows)
{
    const char *topic = bide_queue_topic(message->queue);
    struct bide_message copy = *message; /* its strings are only looked at */
    struct bide_memory_queue *queue;
    bool complete = true;
    if (!bide_memory_has_subscription(store, topic))
        return add_parked(store, message, rows);
    TAILQ_FOREACH(queue, &store->queues, link)
    if (complete && is_subscription(queue, topic)) {
        copy.queue = queue->name;
        complete = add(store, &copy, rows);
    }
    return complete;
}

bool bide_memory_send(
    struct bide_memory_store *store, const struct bide_message *const *messages, size_t n, int64_t now_ms)
{
    struct bide_memory_rows rows = TAILQ_HEAD_INITIALIZER(rows);
    struct bide_memory_row *row;
    bool complete = true;
    for (size_t i = 0; complete && i < n; i++)
        complete = (bide_is_topic(messages[i]->queue) ? fan_out : add)(store, messages[i], &rows);
    while ((row = TAILQ_FIRST(&rows))) {
        TAILQ_REMOVE(&rows, row, link);
        if (!complete)
            bide_memory_row_destroy(row);
        else if (bide_is_topic(row->message->queue))
            bide_memory_bury(store, row, BIDE_REASON_UNROUTED, now_ms);
        else
            bide_memory_put(store, row, now_ms);
    }
    return complete;
}

/* ---- joining and leaving ---- */

bide_code bide_memory_join(struct bide_admin *base, const char *subscription, bide_error *error)
{
    bide_memory_lock();
    struct bide_memory_queue *queue =
        bide_memory_queue(((struct bide_memory_admin *)base)->store, subscription);
    if (queue)
        queue->is_joined = true;
    bide_memory_unlock();
    return queue ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

/* Its queue stays in the list, as all do. */
bide_code bide_memory_leave(struct bide_admin *base, const char *subscription, bide_error *error)
{
    struct bide_memory_queue *queue;
    (void)error;
    bide_memory_lock();
    TAILQ_FOREACH(queue, &((struct bide_memory_admin *)base)->store->queues, link)
    if (strcmp(queue->name, subscription) == 0)
        queue->is_joined = false;
    bide_memory_unlock();
    return BIDE_OK;
}

/* Queues are never freed, so the visitor may call the broker. */
bide_code bide_memory_subscriptions(
    struct bide_admin *base, bide_subscription_visit *visit, void *user, bide_error *error)
{
    struct bide_memory_queue *queue;
    bool more = true;
    (void)error;
    bide_memory_lock();
    queue = TAILQ_FIRST(&((struct bide_memory_admin *)base)->store->queues);
    while (queue && more) {
        bool joined = queue->is_joined;
        bide_memory_unlock();
        more = !joined || visit(user, queue->name);
        bide_memory_lock();
        queue = TAILQ_NEXT(queue, link);
    }
    bide_memory_unlock();
    return BIDE_OK;
}
