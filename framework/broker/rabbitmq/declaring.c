/* Declares and deletes the rows of a topology. */
#include "base/alloc.h"
#include "broker/rabbitmq/fault.h"
#include "broker/rabbitmq/topology.h"

/* ---- one row ---- */

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
    size_t n = topology->n_rows - topology->n_ladder; /* the rows before the ladder's */
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

/* ---- one subscription ---- */

/* Settings that know this queue alone; they borrow from `all`. NULL where there is no memory. */
static struct bide_rmq_settings *settings_of(const struct bide_rmq_settings *all, const char *subscription)
{
    struct bide_rmq_settings *one = bide_malloc(sizeof *one);
    if (!one)
        return NULL;
    *one = *all;
    bide_arena_init(&one->arena);
    one->joins = true;
    if (bide_rmq_settings_name_queues(one, &subscription, 1, NULL, 0))
        return one;
    bide_rmq_settings_destroy(one);
    return NULL;
}

typedef bide_code subscription_action(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, size_t n, bide_error *error);

/* Acts on the n rows before the ladder's. */
static bide_code act_on_subscription(struct bide_rmq_link *link, amqp_channel_t channel,
    const char *subscription, subscription_action *act, bide_error *error)
{
    struct bide_rmq_topology topology;
    struct bide_rmq_settings *one = settings_of(link->settings, subscription);
    if (!one)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = bide_rmq_topology_init(&topology, one, error);
    if (code == BIDE_OK) {
        code = act(link, channel, &topology, topology.n_rows - topology.n_ladder, error);
        bide_rmq_topology_clear(&topology);
    }
    bide_rmq_settings_destroy(one);
    return code;
}

static bide_code declare_subscription(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, size_t n, bide_error *error)
{
    return act_on_rows(link, channel, topology, n, declare_at_once, "joining a topic", error);
}

bide_code bide_rmq_topology_join(
    struct bide_rmq_link *link, amqp_channel_t channel, const char *subscription, bide_error *error)
{
    return act_on_subscription(link, channel, subscription, declare_subscription, error);
}

static const char leaving[] = "leaving a topic";

static bool is_of_subscription(const struct bide_rmq_row *row, enum bide_rmq_row_kind kind)
{
    return row->kind == kind && bide_queue_topic(row->name);
}

static int delete_if_subscription(
    struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row)
{
    bool is_its = is_of_subscription(row, BIDE_RMQ_QUEUE);
    return is_its ? delete_at_once(link, channel, row) : AMQP_STATUS_OK;
}

static bide_code unbind_queue(
    struct bide_rmq_link *link, amqp_channel_t channel, const struct bide_rmq_row *row, bide_error *error)
{
    amqp_queue_unbind(link->amqp, channel, bide_rmq_text(row->name), bide_rmq_text(row->source),
        bide_rmq_text(row->key), amqp_empty_table);
    return bide_rmq_check(link->settings, amqp_get_rpc_reply(link->amqp), leaving, error);
}

/* Nothing may be routed to a queue while it is deleted: the broker (3.10) ends the connection of who
 * publishes its first message to one then, with 541, and what that had unconfirmed is sent again to all
 * subscriptions. To unbind what is not bound, or not there, is no failure: who was killed in between leaves
 * again. */
static bide_code delete_subscription(struct bide_rmq_link *link, amqp_channel_t channel,
    const struct bide_rmq_topology *topology, size_t n, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < n && code == BIDE_OK; i++)
        if (is_of_subscription(&topology->rows[i], BIDE_RMQ_BIND_QUEUE))
            code = unbind_queue(link, channel, &topology->rows[i], error);
    return code == BIDE_OK ? act_on_rows(link, channel, topology, n, delete_if_subscription, leaving, error)
                           : code;
}

bide_code bide_rmq_topology_leave(
    struct bide_rmq_link *link, amqp_channel_t channel, const char *subscription, bide_error *error)
{
    return act_on_subscription(link, channel, subscription, delete_subscription, error);
}
