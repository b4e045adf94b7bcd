#include "broker/rabbitmq/topology.h"

#include <stdio.h>

#include "base/alloc.h"
#include "broker/rabbitmq/fault.h"

enum {
    FIXED_ROWS = 10,  /* unrouted and unrouted.later: exchange, queue, binding; work; landing; due; later */
    RUNG_ROWS = 2,    /* exchange; the binding for number 0 */
    HOLDING_ROWS = 2, /* queue and its binding */
    QUEUE_ROWS = 8,   /* work, landing (two) and later with their bindings, dead */
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

static bool add_user_queue(struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings,
    const struct bide_rmq_queue *queue)
{
    char key[KEY_SIZE];
    for (int i = 0; i < BIDE_RMQ_WORDS; i++)
        memcpy(key + 2 * i, "*.", 2);
    snprintf(key + 2 * BIDE_RMQ_WORDS, sizeof key - 2 * BIDE_RMQ_WORDS, "%s", queue->name);
    const char *landing_key = bide_arena_copy(&topology->arena, key, strlen(key));
    add_queue(topology, queue->dead);
    add_queue(topology, queue->work);
    add(topology, (struct bide_rmq_row){BIDE_RMQ_BIND_QUEUE, .name = queue->work,
                      .source = settings->work_exchange, .key = queue->name});
    add_queue(topology, queue->landing);
    add(topology, (struct bide_rmq_row){BIDE_RMQ_BIND_QUEUE, .name = queue->landing,
                      .source = settings->landing_exchange, .key = queue->name});
    add(topology, (struct bide_rmq_row){BIDE_RMQ_BIND_QUEUE, .name = queue->landing,
                      .source = settings->due_exchange, .key = landing_key});
    return landing_key != NULL;
}

/* Where a foreign producer's early messages come in. A message with an expiration that no worker has taken by
 * then goes on to the work queue. The key is the queue's own, because the message's CC headers would be keys
 * there, too. */
static void add_later(struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings,
    const struct bide_rmq_queue *queue)
{
    add(topology, (struct bide_rmq_row){BIDE_RMQ_QUEUE, .name = queue->later, .ttl_ms = BIDE_RMQ_NO_TTL,
                      .onward = settings->work_exchange, .onward_key = queue->name});
    add(topology, (struct bide_rmq_row){BIDE_RMQ_BIND_QUEUE, .name = queue->later,
                      .source = settings->later_exchange, .key = queue->name});
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
    add_unrouted_later(topology, settings);
    add_exchange(topology, settings->later_exchange, "direct", settings->unrouted_later);
    for (size_t i = 0; i < settings->n_queues; i++)
        complete &= add_user_queue(topology, settings, &settings->queues[i]);
    for (size_t i = 0; i < settings->n_queues; i++)
        add_later(topology, settings, &settings->queues[i]);
    for (int rung = BIDE_RMQ_RUNGS - 1; rung >= 0; rung--)
        complete &= add_rung(topology, settings, rung);
    return complete;
}

bide_code bide_rmq_topology_init(
    struct bide_rmq_topology *topology, const struct bide_rmq_settings *settings, bide_error *error)
{
    size_t n = FIXED_ROWS + ladder_rows(settings) + QUEUE_ROWS * settings->n_queues;
    *topology = (struct bide_rmq_topology){.rows = bide_calloc(n, sizeof *topology->rows)};
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

/* ---- declaring ---- */

struct arguments {
    amqp_table_entry_t entries[6];
    int n;
};

static void put_text(struct arguments *arguments, const char *key, const char *text)
{
    arguments->entries[arguments->n++] = (amqp_table_entry_t){.key = bide_rmq_text(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bide_rmq_text(text)}};
}

static void put_number(struct arguments *arguments, const char *key, int64_t number)
{
    arguments->entries[arguments->n++] = (amqp_table_entry_t){
        .key = bide_rmq_text(key), .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = number}};
}

/* A quorum queue needs a delivery limit, or it loses messages that are returned often: 4.x limits to 20 by
 * default, and -1 ("none" there) means "at the first" on 3.10. A holding queue needs the overflow
 * reject-publish: with any other, the broker silently uses at-most-once dead-lettering. Without a locator the
 * node we are connected to leads all queues; the further shards go to the node that leads the fewest. */
static void queue_arguments(struct arguments *arguments, const struct bide_rmq_row *row, bool classic)
{
    put_text(arguments, "x-queue-type", classic ? "classic" : "quorum");
    if (row->onward && row->ttl_ms != BIDE_RMQ_NO_TTL)
        put_number(arguments, "x-message-ttl", row->ttl_ms);
    if (row->onward_key)
        put_text(arguments, "x-dead-letter-routing-key", row->onward_key);
    if (row->onward) {
        put_text(arguments, "x-dead-letter-exchange", row->onward);
        if (!classic) {
            put_text(arguments, "x-dead-letter-strategy", "at-least-once");
            put_text(arguments, "x-overflow", "reject-publish");
        }
    }
    if (!classic && (!row->onward || row->onward_key)) /* consumers may return its messages */
        put_number(arguments, "x-delivery-limit", INT32_MAX);
    if (!classic && row->is_spread)
        put_text(arguments, "x-queue-leader-locator", "balanced");
}

/* Sends a method and, unless `nowait`, waits for its answer. */
static int request(struct bide_rmq_link *link, amqp_channel_t channel, amqp_method_number_t method,
    void *decoded, bool nowait)
{
    if (nowait)
        return amqp_send_method(link->amqp, channel, method, decoded);
    amqp_simple_rpc_decoded(link->amqp, channel, method, method + 1, decoded);
    return AMQP_STATUS_OK;
}

static int declare_exchange(
    struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row, bool nowait)
{
    struct arguments arguments = {.n = 0};
    if (row->alternate)
        put_text(&arguments, "alternate-exchange", row->alternate);
    amqp_exchange_declare_t declare = {.exchange = bide_rmq_text(row->name),
        .type = bide_rmq_text(row->type),
        .durable = 1,
        .nowait = nowait,
        .arguments = {arguments.n, arguments.entries}};
    return request(link, channel, AMQP_EXCHANGE_DECLARE_METHOD, &declare, nowait);
}

static int declare_queue(
    struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row, bool nowait)
{
    struct arguments arguments = {.n = 0};
    queue_arguments(&arguments, row, link->settings->classic);
    amqp_queue_declare_t declare = {.queue = bide_rmq_text(row->name),
        .durable = 1,
        .nowait = nowait,
        .arguments = {arguments.n, arguments.entries}};
    return request(link, channel, AMQP_QUEUE_DECLARE_METHOD, &declare, nowait);
}

static int bind_queue(
    struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row, bool nowait)
{
    amqp_queue_bind_t bind = {.queue = bide_rmq_text(row->name),
        .exchange = bide_rmq_text(row->source),
        .routing_key = bide_rmq_text(row->key),
        .nowait = nowait};
    return request(link, channel, AMQP_QUEUE_BIND_METHOD, &bind, nowait);
}

static int bind_exchange(
    struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row, bool nowait)
{
    amqp_exchange_bind_t bind = {.destination = bide_rmq_text(row->name),
        .source = bide_rmq_text(row->source),
        .routing_key = bide_rmq_text(row->key),
        .nowait = nowait};
    return request(link, channel, AMQP_EXCHANGE_BIND_METHOD, &bind, nowait);
}

int bide_rmq_row_declare(
    struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row, bool nowait)
{
    static int (*const declare[])(
        struct bide_rmq_link *, amqp_channel_t, const struct bide_rmq_row *, bool) = {
        [BIDE_RMQ_EXCHANGE] = declare_exchange,
        [BIDE_RMQ_QUEUE] = declare_queue,
        [BIDE_RMQ_BIND_QUEUE] = bind_queue,
        [BIDE_RMQ_BIND_EXCHANGE] = bind_exchange,
    };
    return declare[row->kind](link, channel, row, nowait);
}

static int declare_at_once(struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row)
{
    return bide_rmq_row_declare(link, channel, row, true);
}

/* Deleting an exchange or queue deletes its bindings too. */
static int delete_at_once(struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row)
{
    amqp_exchange_delete_t exchange = {.exchange = bide_rmq_text(row->name), .nowait = 1};
    amqp_queue_delete_t queue = {.queue = bide_rmq_text(row->name), .nowait = 1};
    if (row->kind == BIDE_RMQ_EXCHANGE)
        return amqp_send_method(link->amqp, channel, AMQP_EXCHANGE_DELETE_METHOD, &exchange);
    if (row->kind == BIDE_RMQ_QUEUE)
        return amqp_send_method(link->amqp, channel, AMQP_QUEUE_DELETE_METHOD, &queue);
    return AMQP_STATUS_OK;
}

typedef int row_action(struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row);

/* Acts on the first n rows. */
static bide_code act_on_rows(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, size_t n, row_action *act, const char *doing, bide_error *error)
{
    int status = AMQP_STATUS_OK;
    for (size_t i = 0; i < n && status == AMQP_STATUS_OK; i++)
        status = act(link, channel, &topology->rows[i]);
    if (status != AMQP_STATUS_OK)
        return bide_rmq_fail_status(link->settings, status, doing, error);
    /* The broker answers this after it has refused any of the methods before. */
    amqp_basic_qos(link->amqp, channel, 0, 0, 0);
    return bide_rmq_check(link->settings, amqp_get_rpc_reply(link->amqp), doing, error);
}

typedef bide_code topology_action(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, void *user, bide_error *error);

static bide_code act_on_topology(
    struct bide_rmq_link *link, amqp_channel_t channel, topology_action *act, void *user, bide_error *error)
{
    struct bide_rmq_topology topology;
    bide_code code = bide_rmq_topology_init(&topology, link->settings, error);
    if (code != BIDE_OK)
        return code;
    struct timeval patience = bide_rmq_timeval(60000); /* quorum queues take long */
    struct timeval usual = bide_rmq_timeval(link->settings->timeout_ms);
    amqp_set_rpc_timeout(link->amqp, &patience);
    code = act(link, channel, &topology, user, error);
    amqp_set_rpc_timeout(link->amqp, &usual);
    bide_rmq_topology_clear(&topology);
    return code;
}

static const char declaring[] = "declaring exchanges and queues";

static bide_code declare_all(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, void *user, bide_error *error)
{
    (void)user;
    return act_on_rows(link, channel, topology, topology->n_rows, declare_at_once, declaring, error);
}

static bide_code delete_all(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, void *user, bide_error *error)
{
    (void)user;
    return act_on_rows(
        link, channel, topology, topology->n_rows, delete_at_once, "deleting exchanges and queues", error);
}

/* Rows are declared in order: if the last queue exists, all rows before it were declared. */
static bide_code ask_for_last_queue(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, bool *ret_there, bide_error *error)
{
    size_t last = topology->n_rows;
    while (topology->rows[--last].kind != BIDE_RMQ_QUEUE)
        ;
    amqp_queue_declare(
        link->amqp, channel, bide_rmq_text(topology->rows[last].name), 1, 0, 0, 0, amqp_empty_table);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->amqp);
    *ret_there = reply.reply_type == AMQP_RESPONSE_NORMAL;
    if (bide_rmq_is_not_found(reply))
        return bide_rmq_link_reopen_channel(link, channel, error);
    return bide_rmq_check(link->settings, reply, "asking for the ladder's last queue", error);
}

static bide_code ensure_all(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, void *user, bide_error *error)
{
    (void)user;
    bool there;
    size_t n = topology->n_rows - ladder_rows(link->settings); /* the rows before the ladder's */
    bide_code code = ask_for_last_queue(link, channel, topology, &there, error);
    if (code == BIDE_OK && there)
        return act_on_rows(link, channel, topology, n, declare_at_once, declaring, error);
    return code == BIDE_OK ? declare_all(link, channel, topology, user, error) : code;
}

/* Declares the rows one by one: at a refusal the broker closes the channel and ignores all methods after
 * it. */
static bide_code declare_each(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, struct bide_rmq_refused *refused, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < topology->n_rows && code == BIDE_OK; i++) {
        bide_rmq_row_declare(link, channel, &topology->rows[i], false);
        amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->amqp);
        code = bide_rmq_check(link->settings, reply, declaring, refused->n == 0 ? &refused->first : NULL);
        if (code == BIDE_OK)
            continue;
        if (!bide_rmq_is_refusal(reply))
            return bide_rmq_check(link->settings, reply, declaring, error);
        refused->n++;
        code = bide_rmq_link_reopen_channel(link, channel, error);
    }
    return code;
}

struct possible {
    bool all;
    struct bide_rmq_refused *refused;
};

static bide_code declare_possible(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, void *user, bide_error *error)
{
    const struct possible *possible = user;
    bide_code code = (possible->all ? declare_all : ensure_all)(link, channel, topology, NULL, error);
    if (code == BIDE_OK || !bide_rmq_is_refusal(amqp_get_rpc_reply(link->amqp)))
        return code;
    code = bide_rmq_link_reopen_channel(link, channel, error);
    return code == BIDE_OK ? declare_each(link, channel, topology, possible->refused, error) : code;
}

bide_code bide_rmq_topology_declare_possible(struct bide_rmq_link *link, amqp_channel_t channel, bool all,
    struct bide_rmq_refused *ret_refused, bide_error *error)
{
    struct possible possible = {all, ret_refused};
    ret_refused->n = 0;
    return act_on_topology(link, channel, declare_possible, &possible, error);
}

bide_code bide_rmq_topology_declare(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error)
{
    return act_on_topology(link, channel, declare_all, NULL, error);
}

bide_code bide_rmq_topology_ensure(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error)
{
    return act_on_topology(link, channel, ensure_all, NULL, error);
}

bide_code bide_rmq_topology_delete(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error)
{
    return act_on_topology(link, channel, delete_all, NULL, error);
}
