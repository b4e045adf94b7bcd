#include "broker/rabbitmq/topology.h"

#include <stdio.h>

#include "base/alloc.h"

enum {
    FIXED_ROWS = 12,  /* unrouted and unrouted.later: exchange, queue, binding; work; landing; due; topic and
                         its binding; later */
    RUNG_ROWS = 2,    /* exchange; the binding for number 0 */
    HOLDING_ROWS = 2, /* queue and its binding */
    QUEUE_ROWS =
        11, /* work, landing (two) and later with their bindings, dead; a topic's: work, landing, later */
    KEY_SIZE = 2 * BIDE_RMQ_WORDS + 2 + 100 /* BIDE_NAME_MAX */
};

/* ---- building the table ---- */

static void add(struct bide_rmq_topology *topology, struct bide_rmq_row row)
{
    topology->rows[topology->n_rows++] = row;
}

static void add_exchange(
    struct bide_rmq_topology *topology, const char *name, const char *type, const char *alternate)
{
    add(topology,
        (struct bide_rmq_row){BIDE_RMQ_EXCHANGE, .name = name, .type = type, .alternate = alternate});
}

static void add_queue(struct bide_rmq_topology *topology, const char *name)
{
    add(topology, (struct bide_rmq_row){BIDE_RMQ_QUEUE, .name = name});
}

/* The key that matches a rung's number: "1.*.*.5.#" for a shard, "*.*.*.0.#" for all. NULL where there is no
 * memory. */
static const char *rung_key(struct bide_rmq_topology *topology, int rung, int number, int shard)
{
    char key[KEY_SIZE];
    int size = number ? snprintf(key, sizeof key, "%d.", shard) : snprintf(key, sizeof key, "*.");
    for (int before = 0; before < rung; before++)
        size += snprintf(key + size, sizeof key - (size_t)size, "*.");
    size += snprintf(key + size, sizeof key - (size_t)size, "%d.#", number);
    return bide_arena_copy(&topology->arena, key, (size_t)size);
}

static bool add_holding_queue(struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings,
    int rung, int number, int shard, const char *onward)
{
    char name[BIDE_RMQ_HOLDING_NAME];
    bide_rmq_holding_name(settings->name_space, rung, number, shard, name);
    const char *queue = bide_arena_copy(&topology->arena, name, strlen(name));
    const char *key = rung_key(topology, rung, number, shard);
    add(topology,
        (struct bide_rmq_row){BIDE_RMQ_QUEUE, .name = queue, .ttl_ms = bide_rmq_rung_ttl_ms(rung, number),
            .onward = onward, .is_spread = shard > 1});
    add(topology, (struct bide_rmq_row){BIDE_RMQ_BIND_QUEUE, .name = queue,
                      .source = settings->hold_exchange[rung], .key = key});
    return key && queue;
}

static bool add_rung(struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings, int rung)
{
    bool is_last = rung == BIDE_RMQ_RUNGS - 1;
    const char *onward = is_last ? settings->due_exchange : settings->hold_exchange[rung + 1];
    const char *past = rung_key(topology, rung, 0, 0);
    bool complete = past != NULL;
    add_exchange(topology, settings->hold_exchange[rung], "topic", settings->unrouted);
    add(topology, (struct bide_rmq_row){BIDE_RMQ_BIND_EXCHANGE, .name = onward,
                      .source = settings->hold_exchange[rung], .key = past});
    for (int number = 1; number <= bide_rmq_rung_numbers(rung); number++)
        for (int shard = 1; shard <= settings->shards; shard++)
            complete &= add_holding_queue(topology, settings, rung, number, shard, onward);
    return complete;
}

static size_t ladder_rows(const struct bide_rmq_settings *settings)
{
    size_t n = 0;
    for (int rung = 0; rung < BIDE_RMQ_RUNGS; rung++)
        n += RUNG_ROWS + HOLDING_ROWS * (size_t)(bide_rmq_rung_numbers(rung) * settings->shards);
    return n;
}

/* Matches what comes from the ladder with this at the end of its key. NULL where there is no memory. */
static const char *key_from_ladder(struct bide_rmq_topology *topology, const char *end)
{
    char key[KEY_SIZE];
    for (int i = 0; i < BIDE_RMQ_WORDS; i++)
        memcpy(key + 2 * i, "*.", 2);
    snprintf(key + 2 * BIDE_RMQ_WORDS, sizeof key - 2 * BIDE_RMQ_WORDS, "%s", end);
    return bide_arena_copy(&topology->arena, key, strlen(key));
}

static void bind_queue_by(
    struct bide_rmq_topology *topology, const char *queue, const char *source, const char *key)
{
    add(topology, (struct bide_rmq_row){BIDE_RMQ_BIND_QUEUE, .name = queue, .source = source, .key = key});
}

/* "@.logs". NULL where there is no memory. */
static const char *topic_key(struct bide_rmq_topology *topology, const char *subscription)
{
    char key[KEY_SIZE];
    int size = snprintf(key, sizeof key, BIDE_RMQ_TOPIC_WORD "%s", bide_queue_topic(subscription));
    return bide_arena_copy(&topology->arena, key, (size_t)size);
}

/* A subscription also gets what is sent to its topic. What comes early, by the ladder or at once, has the
 * ladder's numbers in front of its key. */
static bool add_subscription(struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings,
    const struct bide_rmq_queue *queue)
{
    const char *topic = topic_key(topology, queue->name);
    const char *landing_key = topic ? key_from_ladder(topology, topic) : NULL;
    bind_queue_by(topology, queue->work, settings->topic_exchange, topic);
    bind_queue_by(topology, queue->landing, settings->topic_exchange, landing_key);
    return landing_key != NULL;
}

static bool add_user_queue(struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings,
    const struct bide_rmq_queue *queue)
{
    const char *landing_key = key_from_ladder(topology, queue->name);
    bool is_subscription = bide_queue_topic(queue->name);
    add_queue(topology, queue->dead);
    add_queue(topology, queue->work);
    bind_queue_by(topology, queue->work, settings->work_exchange, queue->name);
    add_queue(topology, queue->landing);
    bind_queue_by(topology, queue->landing, settings->landing_exchange, queue->name);
    bind_queue_by(topology, queue->landing, settings->due_exchange, landing_key);
    return landing_key && (!is_subscription || add_subscription(topology, settings, queue));
}

/* Where a foreign producer's early messages come in. A message with an expiration that no worker has taken by
 * then goes on to the work queue. The key is the queue's own, because the message's CC headers would be keys
 * there, too. */
static bool add_later(struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings,
    const struct bide_rmq_queue *queue)
{
    add(topology, (struct bide_rmq_row){BIDE_RMQ_QUEUE, .name = queue->later, .ttl_ms = BIDE_RMQ_NO_TTL,
                      .onward = settings->work_exchange, .onward_key = queue->name});
    bind_queue_by(topology, queue->later, settings->later_exchange, queue->name);
    if (!bide_queue_topic(queue->name))
        return true;
    const char *topic = topic_key(topology, queue->name);
    bind_queue_by(topology, queue->later, settings->later_exchange, topic);
    return topic != NULL;
}

/* The alternate of the later exchange. In the unrouted queue a message with an expiration would be discarded
 * when that has passed; dead-lettering takes the expiration away. */
static void add_unrouted_later(struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings)
{
    const char *name = settings->unrouted_later;
    add_exchange(topology, name, "fanout", settings->unrouted);
    add(topology,
        (struct bide_rmq_row){BIDE_RMQ_QUEUE, .name = name, .ttl_ms = 0, .onward = settings->unrouted});
    add(topology, (struct bide_rmq_row){BIDE_RMQ_BIND_QUEUE, .name = name, .source = name, .key = ""});
}

/* To declare a subscription is to join it. */
static bool is_declared(const struct bide_rmq_settings *settings, const struct bide_rmq_queue *queue)
{
    return settings->joins || !bide_queue_topic(queue->name);
}

/* What comes to its time on the ladder and is for a topic goes on to the topics' exchange. */
static bool add_topics(struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings)
{
    const char *early = key_from_ladder(topology, BIDE_RMQ_TOPIC_WORD "#");
    add_exchange(topology, settings->topic_exchange, "topic", settings->unrouted);
    add(topology, (struct bide_rmq_row){BIDE_RMQ_BIND_EXCHANGE, .name = settings->topic_exchange,
                      .source = settings->due_exchange, .key = early});
    return early != NULL;
}

static bool build(struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings)
{
    bool complete = true;
    add_exchange(topology, settings->unrouted, "fanout", NULL);
    add_queue(topology, settings->unrouted);
    add(topology, (struct bide_rmq_row){BIDE_RMQ_BIND_QUEUE, .name = settings->unrouted,
                      .source = settings->unrouted, .key = ""});
    add_exchange(topology, settings->work_exchange, "direct", settings->unrouted);
    add_exchange(topology, settings->landing_exchange, "direct", settings->unrouted);
    add_exchange(topology, settings->due_exchange, "topic", settings->unrouted);
    complete &= add_topics(topology, settings);
    add_unrouted_later(topology, settings);
    add_exchange(topology, settings->later_exchange, "direct", settings->unrouted_later);
    for (size_t i = 0; i < settings->n_known; i++)
        if (is_declared(settings, &settings->queues[i]))
            complete &= add_user_queue(topology, settings, &settings->queues[i]);
    for (size_t i = 0; i < settings->n_known; i++)
        if (is_declared(settings, &settings->queues[i]))
            complete &= add_later(topology, settings, &settings->queues[i]);
    for (int rung = BIDE_RMQ_RUNGS - 1; rung >= 0; rung--)
        complete &= add_rung(topology, settings, rung);
    return complete;
}

bide_code bide_rmq_topology_init(
    struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings, bide_error *error)
{
    size_t n = FIXED_ROWS + ladder_rows(settings) + QUEUE_ROWS * settings->n_known;
    *topology = (struct bide_rmq_topology){
        .n_ladder = ladder_rows(settings), .rows = bide_calloc(n, sizeof *topology->rows)};
    bide_arena_init(&topology->arena);
    if (topology->rows && build(topology, settings))
        return BIDE_OK;
    bide_rmq_topology_clear(topology);
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

void bide_rmq_topology_clear(struct bide_rmq_topology *topology)
{
    bide_free(topology->rows);
    bide_arena_release(&topology->arena);
    *topology = (struct bide_rmq_topology){0};
}
