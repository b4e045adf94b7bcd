#include "broker/memory/store.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "broker/memory/receiver.h"

static pthread_mutex_t the_lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, bide_memory_store) stores = TAILQ_HEAD_INITIALIZER(stores);

void bide_memory_lock(void)
{
    pthread_mutex_lock(&the_lock);
}

void bide_memory_unlock(void)
{
    pthread_mutex_unlock(&the_lock);
}

/* ---- stores and queues ---- */

static void destroy_new(struct bide_memory_store *store)
{
    if (store) {
        bide_free(store->name);
        bide_free(store->name_space);
    }
    bide_free(store);
}

static struct bide_memory_store *create(const char *name, const char *name_space)
{
    struct bide_memory_store *store = bide_calloc(1, sizeof *store);
    if (store) {
        store->name = bide_strdup(name);
        store->name_space = bide_strdup(name_space);
    }
    if (!store || !store->name || !store->name_space) {
        destroy_new(store);
        return NULL;
    }
    TAILQ_INIT(&store->queues);
    TAILQ_INIT(&store->dead);
    TAILQ_INIT(&store->receivers);
    TAILQ_INSERT_TAIL(&stores, store, link);
    return store;
}

static struct bide_memory_store *find_or_create(const char *name, const char *name_space)
{
    struct bide_memory_store *store;
    TAILQ_FOREACH(store, &stores, link)
    if (strcmp(store->name, name) == 0 && strcmp(store->name_space, name_space) == 0)
        return store;
    return create(name, name_space);
}

bide_code bide_memory_store_open(
    const struct bide_broker_options *options, struct bide_memory_store **ret_store, bide_error *error)
{
    static const char *const no_params[] = {NULL};
    bide_code code = bide_url_check_params(options->url, no_params, error);
    if (code != BIDE_OK)
        return code;
    bide_memory_lock();
    struct bide_memory_store *store =
        find_or_create(options->url->path ? options->url->path : "", options->name_space);
    bool complete = store != NULL;
    for (size_t i = 0; complete && i < options->n_queues; i++)
        complete = bide_memory_queue(store, options->queues[i]) != NULL;
    for (size_t i = 0; complete && i < options->n_subscriptions; i++)
        complete = bide_memory_queue(store, options->subscriptions[i]) != NULL;
    bide_memory_unlock();
    if (!complete)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    *ret_store = store;
    return BIDE_OK;
}

struct bide_memory_queue *bide_memory_queue(struct bide_memory_store *store, const char *name)
{
    struct bide_memory_queue *queue;
    TAILQ_FOREACH(queue, &store->queues, link)
    if (strcmp(queue->name, name) == 0)
        return queue;
    queue = bide_calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    snprintf(queue->name, sizeof queue->name, "%s", name);
    TAILQ_INIT(&queue->ready);
    TAILQ_INIT(&queue->delayed);
    TAILQ_INSERT_TAIL(&store->queues, queue, link);
    return queue;
}

/* ---- rows ---- */

struct bide_memory_row *bide_memory_row(struct bide_memory_store *store, const struct bide_message *message)
{
    struct bide_memory_row *row = bide_calloc(1, sizeof *row);
    if (!row)
        return NULL;
    row->queue = bide_memory_queue(store, message->queue);
    row->message = row->queue ? bide_message_copy(message) : NULL;
    row->serial = ++store->next_serial;
    if (row->message)
        return row;
    bide_memory_row_destroy(row);
    return NULL;
}

void bide_memory_row_destroy(struct bide_memory_row *row)
{
    if (!row)
        return;
    bide_message_destroy(row->message);
    bide_free(row);
}

/* ---- lists ---- */

/* Most come last. */
static void insert_delayed(struct bide_memory_rows *rows, struct bide_memory_row *row)
{
    struct bide_memory_row *before = TAILQ_LAST(rows, bide_memory_rows);
    while (before && before->message->due_ms > row->message->due_ms)
        before = TAILQ_PREV(before, bide_memory_rows, link);
    if (before)
        TAILQ_INSERT_AFTER(rows, before, row, link);
    else
        TAILQ_INSERT_HEAD(rows, row, link);
}

/* What comes back has its old place. */
static void insert_ready(struct bide_memory_rows *rows, struct bide_memory_row *row)
{
    struct bide_memory_row *behind = TAILQ_FIRST(rows);
    struct bide_memory_row *last = TAILQ_LAST(rows, bide_memory_rows);
    if (!last || last->order < row->order) {
        TAILQ_INSERT_TAIL(rows, row, link);
        return;
    }
    while (behind->order < row->order)
        behind = TAILQ_NEXT(behind, link);
    TAILQ_INSERT_BEFORE(behind, row, link);
}

void bide_memory_put(struct bide_memory_store *store, struct bide_memory_row *row, int64_t now_ms)
{
    if (row->message->due_ms > now_ms) {
        row->order = 0;
        insert_delayed(&row->queue->delayed, row);
    } else {
        if (row->order == 0)
            row->order = ++store->next_order;
        insert_ready(&row->queue->ready, row);
    }
    struct bide_memory_receiver *receiver;
    TAILQ_FOREACH(receiver, &store->receivers, link)
    bide_wakeup_signal(&receiver->wakeup);
}

void bide_memory_bury(
    struct bide_memory_store *store, struct bide_memory_row *row, enum bide_reason reason, int64_t died_ms)
{
    row->reason = reason;
    row->died_ms = died_ms;
    TAILQ_INSERT_HEAD(&store->dead, row, link);
}

void bide_memory_promote(struct bide_memory_store *store, struct bide_memory_queue *queue, int64_t now_ms)
{
    struct bide_memory_row *row;
    while ((row = TAILQ_FIRST(&queue->delayed)) && row->message->due_ms <= now_ms) {
        TAILQ_REMOVE(&queue->delayed, row, link);
        row->order = ++store->next_order;
        TAILQ_INSERT_TAIL(&queue->ready, row, link);
    }
}
