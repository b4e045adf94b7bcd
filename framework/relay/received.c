/* A broker as a source: what a worker would receive. */
#include <poll.h>
#include <string.h>

#include "base/alloc.h"
#include "relay/source.h"
#include "relay/turn.h"

enum {
    LOOK_US = 10 * 1000 * 1000, /* look for queues that are new at least so often */
    WOKEN_US = 1000 * 1000,     /* and so often where something came, and not from a queue known before */
    DRAIN_US = 2 * 1000 * 1000, /* for settlements to become final before the receiver is closed */
    IN_HAND_BYTES = 16 * 1024 * 1024,
};

struct received {
    struct bide_source base;
    struct bide_source_options options;
    struct bide_relay_end end;
    struct bide_turn turn; /* SQLite alone: file is NULL elsewhere */
    struct bide_receiver *receiver;
    bool is_spool; /* of senders: for the target its messages are theirs, for queues that they know */
    char **queues; /* owned; base.queues is the same, but of a spool */
    size_t n_queues;
    int64_t looked_us;
    bool is_woken;
    bool is_broken; /* the receiver has failed for good; another is opened once nothing of it is in hand */
};

static struct received *of(struct bide_source *base)
{
    return (struct received *)base;
}

/* ---- which queues there are ---- */

static bide_code add_queue(struct received *received, const char *name, bide_error *error)
{
    for (size_t i = 0; i < received->n_queues; i++)
        if (strcmp(received->queues[i], name) == 0)
            return BIDE_OK;
    char **queues = bide_realloc(received->queues, (received->n_queues + 1) * sizeof *queues);
    if (!queues)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    received->queues = queues;
    received->base.queues = received->end.broker.options.queues = (const char *const *)queues;
    if (!(queues[received->n_queues] = bide_strdup(name)))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    received->n_queues++;
    received->end.broker.options.n_queues = received->n_queues;
    received->base.n_queues = received->is_spool ? 0 : received->n_queues;
    return BIDE_OK;
}

static bide_code ask_stats(struct received *received, struct bide_broker_stats *ret_stats, bide_error *error)
{
    struct bide_admin *admin;
    bide_code code = received->end.broker.adapter->open_admin(&received->end.broker.options, &admin, error);
    if (code != BIDE_OK)
        return code;
    code = admin->ops->stats(admin, ret_stats, error);
    bide_admin_destroy(admin);
    return code;
}

/* RabbitMQ cannot list queues: there it is those of the configuration. */
static bide_code find_queues(struct received *received, bide_error *error)
{
    struct bide_broker_stats stats = {0};
    if (received->options.queue)
        return add_queue(received, received->options.queue, error);
    bide_code code = ask_stats(received, &stats, error);
    for (size_t i = 0; code == BIDE_OK && i < stats.n_queues; i++)
        if (stats.queues[i].ready > 0 || stats.queues[i].delayed > 0 || stats.queues[i].in_flight > 0)
            code = add_queue(received, stats.queues[i].name, error);
    bide_broker_stats_clear(&stats);
    return code == BIDE_E_NOT_FOUND ? BIDE_OK : code;
}

/* ---- the receiver ---- */

static void drain(struct received *received)
{
    struct bide_receiver *receiver = received->receiver;
    int64_t end_us = bide_mono_us(received->options.clock) + DRAIN_US;
    struct bide_receiver_stats stats;
    size_t none;
    for (;;) {
        receiver->ops->stats(receiver, &stats);
        if (stats.unsettled == 0 || bide_mono_us(received->options.clock) >= end_us ||
            receiver->ops->receive(receiver, NULL, 0, &none, NULL) != BIDE_OK)
            return;
        struct bide_wait wait;
        receiver->ops->wait(receiver, &wait);
        (void)poll(wait.fds, wait.n_fds,
            wait.timeout_us < 0 || wait.timeout_us > 10000 ? 10 : (int)(wait.timeout_us / 1000));
    }
}

static void close_receiver(struct received *received)
{
    if (!received->receiver)
        return;
    if (!received->is_broken) {
        received->receiver->ops->stop(received->receiver);
        drain(received);
    }
    bide_receiver_destroy(received->receiver);
    received->receiver = NULL;
    received->is_broken = false;
}

static bide_code open_receiver(struct received *received, bide_error *error)
{
    struct bide_configured_broker *broker = &received->end.broker;
    received->looked_us = bide_mono_us(received->options.clock);
    received->is_woken = false;
    bide_code code = find_queues(received, error);
    if (code != BIDE_OK)
        return code;
    code = broker->adapter->open_receiver(&broker->options, &received->receiver, error);
    for (size_t i = 0; code == BIDE_OK && i < received->n_queues; i++)
        received->receiver->ops->limit(received->receiver, i, BIDE_RELAY_BATCH);
    return code;
}

/* Has something come to a queue that is not served yet? Nothing is in hand. */
static bide_code look_for_queues(struct received *received, int64_t every_us, bide_error *error)
{
    int64_t since_us = bide_mono_us(received->options.clock) - received->looked_us;
    size_t known = received->n_queues;
    if (received->options.queue || since_us < every_us)
        return BIDE_OK;
    received->looked_us += since_us;
    received->is_woken = false;
    bide_code code = find_queues(received, error);
    if (code == BIDE_OK && received->n_queues > known)
        close_receiver(received); /* the next take opens one for all */
    return code;
}

static void note_wake(struct received *received)
{
    struct bide_wait wait;
    received->receiver->ops->wait(received->receiver, &wait);
    if (wait.n_fds > 0 && poll(wait.fds, wait.n_fds, 0) > 0)
        received->is_woken = true;
}

/* ---- taking and settling ---- */

static struct bide_taken item_of(struct bide_delivery *delivery, int64_t now_ms)
{
    const struct bide_message *message = delivery->message;
    struct bide_taken item = {.message = delivery->message, .delivery = delivery};
    item.since_ms =
        message->due_ms > now_ms || message->sent_ms > message->due_ms ? message->sent_ms : message->due_ms;
    if (delivery->defect != BIDE_REASON_NONE) {
        item.end = BIDE_TAKEN_REFUSED;
        item.why = bide_strdup(delivery->defect_text); /* NULL without memory: refused all the same */
    }
    return item;
}

static bide_code received_take(
    struct bide_source *base, struct bide_taken *items, size_t max, size_t *ret_n, bide_error *error)
{
    struct received *received = of(base);
    struct bide_delivery *deliveries[BIDE_RELAY_BATCH];
    size_t n = 0;
    *ret_n = 0;
    if (max == 0 && (!received->receiver || received->is_broken))
        return BIDE_OK;
    if (received->is_broken)
        close_receiver(received);
    bide_code code = BIDE_OK;
    if (received->receiver && max > 0) /* also where the others never run dry */
        code = look_for_queues(received, LOOK_US, error);
    if (code == BIDE_OK && !received->receiver)
        code = open_receiver(received, error);
    if (code != BIDE_OK)
        return code;
    note_wake(received);
    code = received->receiver->ops->receive(received->receiver, deliveries, max, &n, error);
    int64_t now_ms = bide_wall_ms(received->options.clock);
    for (size_t i = 0; i < n; i++)
        items[i] = item_of(deliveries[i], now_ms);
    *ret_n = n;
    received->is_broken = code != BIDE_OK;
    if (code != BIDE_OK)
        return code;
    return n == 0 && max > 0 ? look_for_queues(received, received->is_woken ? WOKEN_US : LOOK_US, error)
                             : BIDE_OK;
}

static struct bide_settlement settlement_of(struct bide_taken *item)
{
    static const enum bide_verdict verdicts[] = {[BIDE_TAKEN_DONE] = BIDE_VERDICT_ACK,
        [BIDE_TAKEN_REFUSED] = BIDE_VERDICT_DEAD,
        [BIDE_TAKEN_RELEASED] = BIDE_VERDICT_RELEASE};
    const struct bide_delivery *delivery = item->delivery;
    bool defect = delivery->defect != BIDE_REASON_NONE;
    return (struct bide_settlement){
        .delivery = item->delivery,
        .verdict = verdicts[item->end],
        .reason = defect ? delivery->defect : BIDE_REASON_REJECTED,
        .attempt = delivery->message->attempt - 1, /* it has not been run here */
        .error = item->why,
    };
}

static void forget(struct received *received, struct bide_taken *item)
{
    bide_free(item->why);
    received->receiver->ops->forget(received->receiver, item->delivery);
    item->message = NULL;
    item->why = NULL;
}

static bide_code received_settle(
    struct bide_source *base, struct bide_taken *items, size_t n, bide_error *error)
{
    struct received *received = of(base);
    (void)error;
    for (size_t i = 0; i < n; i++) {
        if (received->is_broken) {
            forget(received, &items[i]);
            continue;
        }
        struct bide_settlement settlement = settlement_of(&items[i]);
        received->receiver->ops->settle(received->receiver, &settlement, 1);
        items[i].message = NULL;
        items[i].why = NULL;
    }
    return BIDE_OK;
}

/* ---- the rest of the contract ---- */

static bide_code received_claim(struct bide_source *base, bool *ret_mine, bide_error *error)
{
    struct received *received = of(base);
    if (received->turn.file)
        return bide_turn_take(&received->turn, bide_mono_us(received->options.clock), ret_mine, error);
    *ret_mine = true;
    return BIDE_OK;
}

static bide_code received_is_target(struct bide_source *base, const struct bide_adapter *adapter,
    const struct bide_broker_options *target, bool *ret_same, bide_error *error)
{
    const struct bide_configured_broker *broker = &of(base)->end.broker;
    struct bide_admin *mine = NULL, *theirs = NULL;
    *ret_same = false;
    if (adapter != broker->adapter)
        return BIDE_OK;
    bide_code code = adapter->open_admin(&broker->options, &mine, error);
    if (code == BIDE_OK)
        code = adapter->open_admin(target, &theirs, error);
    if (code == BIDE_OK)
        code = mine->ops->same_place(mine, theirs, ret_same, error);
    bide_admin_destroy(theirs);
    bide_admin_destroy(mine);
    return code == BIDE_E_NOT_FOUND ? BIDE_OK : code; /* SQLite: a file that is not there yet */
}

static void received_wait(struct bide_source *base, struct bide_wait *ret_wait)
{
    struct received *received = of(base);
    if (received->turn.file && !received->turn.is_mine)
        bide_turn_wait(&received->turn, ret_wait);
    else if (received->receiver)
        received->receiver->ops->wait(received->receiver, ret_wait);
    else
        *ret_wait = (struct bide_wait){.timeout_us = 0};
}

static bide_code received_look(
    struct bide_source *base, struct bide_source_depth *ret_depth, bide_error *error)
{
    struct received *received = of(base);
    struct bide_broker_stats stats = {0};
    struct bide_source_depth depth = {0};
    bide_code code = ask_stats(received, &stats, error);
    for (size_t i = 0; code == BIDE_OK && i < stats.n_queues; i++) {
        const struct bide_queue_stats *queue = &stats.queues[i];
        if (received->options.queue && strcmp(queue->name, received->options.queue) != 0)
            continue;
        depth.waiting += queue->ready > 0 ? queue->ready : 0;
        if (received->options.queue) /* RabbitMQ does not tell it for one queue */
            depth.waiting += queue->delayed > 0 ? queue->delayed : 0;
        depth.waiting += queue->in_flight > 0 ? queue->in_flight : 0; /* in the relay's hands */
        depth.refused += queue->dead > 0 ? queue->dead : 0;
        if (queue->oldest_ready_ms > depth.oldest_ms)
            depth.oldest_ms = queue->oldest_ready_ms;
        if (queue->oldest_ready_ms == BIDE_UNKNOWN_COUNT)
            depth.oldest_ms = BIDE_UNKNOWN_COUNT;
    }
    if (!received->options.queue)
        depth.waiting += stats.delayed_total;
    bide_broker_stats_clear(&stats);
    if (code != BIDE_OK && code != BIDE_E_NOT_FOUND)
        return code;
    *ret_depth = depth;
    return BIDE_OK;
}

static void received_destroy(struct bide_source *base, struct bide_taken *items, size_t n)
{
    struct received *received = of(base);
    for (size_t i = 0; i < n; i++)
        forget(received, &items[i]);
    close_receiver(received);
    if (received->turn.file)
        bide_turn_release(&received->turn);
    for (size_t i = 0; i < received->n_queues; i++)
        bide_free(received->queues[i]);
    bide_free(received->queues);
    bide_relay_end_close(&received->end);
    bide_free(received);
}

static const struct bide_source_ops ops = {
    .claim = received_claim,
    .take = received_take,
    .settle = received_settle,
    .is_target = received_is_target,
    .wait = received_wait,
    .look = received_look,
    .destroy = received_destroy,
};

/* ---- opening ---- */

/* A file has one relay at a time, so that order is kept; a server may have several. */
static bide_code prepare_turn(struct received *received, bide_error *error)
{
    const struct bide_url *url = &received->end.broker.url;
    if (strcmp(received->end.broker.adapter->name, "sqlite") != 0 || !url->path)
        return BIDE_OK;
    char *file = bide_source_path(received->options.config->dir, url->path);
    if (!file)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = bide_turn_init(&received->turn, file, received->options.queue, error);
    bide_free(file);
    return code;
}

static bide_code prepare(struct received *received, bide_error *error)
{
    const struct bide_config *config = received->options.config;
    bide_code code = bide_relay_end_open(config, received->options.url, &received->end, error);
    if (code != BIDE_OK)
        return code;
    received->end.broker.options.timeout_ms = received->options.timeout_ms;
    received->end.broker.options.max_in_flight = IN_HAND_BYTES;
    received->end.broker.options.early_max = 0;
    received->end.broker.options.ahead = true;
    received->end.broker.options.n_subscriptions = 0; /* a relay joins no topic */
    for (size_t i = 0; code == BIDE_OK && !received->options.queue && i < config->n_queues; i++)
        if (!bide_subscription_valid(config->queues[i].name))
            code = add_queue(received, config->queues[i].name, error);
    return code == BIDE_OK ? prepare_turn(received, error) : code;
}

bide_code bide_received_create(
    const struct bide_source_options *options, struct bide_source **ret_source, bide_error *error)
{
    struct received *received = bide_calloc(1, sizeof *received);
    if (!received)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    received->base.ops = &ops;
    received->options = *options;
    const char *spool = options->config->spool.url;
    received->is_spool = spool && strcmp(spool, options->url) == 0;
    bide_code code = prepare(received, error);
    if (code == BIDE_OK)
        *ret_source = &received->base;
    else
        received_destroy(&received->base, NULL, 0);
    return code;
}
