#include "broker/rabbitmq/receiver.h"

#include "base/alloc.h"
#include "bide/log.h"
#include "broker/rabbitmq/objects.h"
#include "broker/rabbitmq/watch.h"

enum { LANDING_PREFETCH = 5000, EXACT_LIMIT = 8, READ_SHARE = 4, READ_LEAST = 16, READ_SPARE = 2 };

/* A flood comes in packets of a few messages. To be woken for each costs more than all that is done with
 * them, so a flow of more than FLOOD_PER_MS is looked at every FLOOD_REST_US only, as network drivers do with
 * interrupts. */
enum { FLOW_US = 2000, FLOOD_PER_MS = 20, FLOOD_REST_US = 500 };

static int64_t now_us(const struct bide_rmq_receiver *receiver)
{
    return bide_mono_us(receiver->settings->clock);
}

/* ---- what comes in ---- */

/* Takes what a connection brought, before the user sees it. */
static void on_delivery(void *owner, struct bide_rmq_delivery *delivery)
{
    struct bide_rmq_receiver *receiver = owner;
    int64_t early_ms = delivery->base.message->due_ms - bide_wall_ms(receiver->settings->clock);
    if (receiver->stopping) {
        bide_rmq_intake_return(&receiver->intake, delivery);
        bide_rmq_delivery_destroy(delivery);
    } else if (early_ms > BIDE_LANDING_MS && !delivery->base.defect) {
        struct bide_settlement hold = {.delivery = &delivery->base, .verdict = BIDE_VERDICT_RELEASE};
        bide_rmq_receiver_publish(receiver, &hold);
    } else {
        delivery->next = NULL;
        *receiver->ready_end = delivery;
        receiver->ready_end = &delivery->next;
    }
}

static struct bide_rmq_delivery *take_ready(struct bide_rmq_receiver *receiver)
{
    struct bide_rmq_delivery *delivery = receiver->ready;
    if (!delivery)
        return NULL;
    receiver->ready = delivery->next;
    if (!receiver->ready)
        receiver->ready_end = &receiver->ready;
    return delivery;
}

/* What was read and never handed out: back to the broker, or left to it. */
static void return_ready(struct bide_rmq_receiver *receiver)
{
    for (struct bide_rmq_delivery *delivery; (delivery = take_ready(receiver));) {
        if (bide_rmq_intake_is_current(&receiver->intake, delivery))
            bide_rmq_intake_return(&receiver->intake, delivery);
        bide_rmq_delivery_destroy(delivery);
    }
}

/* ---- limits ---- */

/* A new prefetch costs a new consumer: small numbers are kept exactly, larger ones within a factor of two. */
static bool is_far(size_t wanted, size_t present)
{
    if (wanted == present)
        return false;
    if (wanted == 0 || present == 0 || wanted < EXACT_LIMIT || present < EXACT_LIMIT)
        return true;
    return wanted >= 2 * present || wanted <= present / 2;
}

static void apply_limits(struct bide_rmq_receiver *receiver)
{
    struct bide_rmq_intake *intake = &receiver->intake;
    if (!bide_rmq_intake_is_open(intake) || intake->has_cancelled)
        return;
    for (size_t i = 0; i < intake->n_channels; i++) {
        size_t queue = i / 2;
        size_t wanted = receiver->limits[queue];
        if (intake->channels[i].landing)
            wanted = receiver->has_begun[queue] && !receiver->stopping ? LANDING_PREFETCH : 0;
        if (is_far(wanted, intake->channels[i].limit))
            bide_rmq_intake_consume(intake, i, wanted);
    }
}

static void set_limit(struct bide_receiver *base, size_t queue, size_t limit)
{
    struct bide_rmq_receiver *receiver = (struct bide_rmq_receiver *)base;
    if (receiver->stopping)
        return;
    receiver->limits[queue] = limit;
    receiver->has_begun[queue] |= limit > 0;
    apply_limits(receiver);
}

/* ---- the connection ---- */

static void note_lost(struct bide_rmq_receiver *receiver, const bide_error *error)
{
    bide_log(BIDE_LOG_WARN, "broker connection lost", BIDE_STR("error", error->text));
    bide_rmq_courier_set_generation(receiver->courier, 0);
    bide_reconnect_failed(&receiver->reconnect, now_us(receiver));
    receiver->ack_since_us = 0;
    return_ready(receiver);
}

/* A queue that was deleted under its consumer exists again once a new connection has declared everything; the
 * old connection, with what is in hand on it, goes on. */
static void consume_again(struct bide_rmq_receiver *receiver)
{
    for (size_t i = 0; i < receiver->intake.n_channels; i++)
        bide_rmq_intake_forget_cancelled(&receiver->intake, i);
}

static void begin_connection(struct bide_rmq_receiver *receiver, struct bide_rmq_link *link)
{
    bide_reconnect_succeeded(&receiver->reconnect);
    if (bide_rmq_intake_is_open(&receiver->intake)) {
        consume_again(receiver);
    } else if (!link->amqp) {
        return; /* declared for a connection that was lost meanwhile */
    } else {
        bide_rmq_intake_take(&receiver->intake, link);
        bide_rmq_courier_set_generation(receiver->courier, receiver->intake.generation);
        receiver->n_reconnects++;
        bide_log(BIDE_LOG_INFO, "broker connection restored");
    }
    apply_limits(receiver);
}

static bool needs_connection(const struct bide_rmq_receiver *receiver)
{
    return !bide_rmq_intake_is_open(&receiver->intake) || receiver->intake.has_cancelled;
}

static void connect_again(struct bide_rmq_receiver *receiver)
{
    struct bide_rmq_link link;
    bide_code code;
    bide_error error;
    if (bide_rmq_connector_finish(&receiver->connector, &link, &code, &error)) {
        bide_wakeup_drain(&receiver->connected);
        if (code == BIDE_OK) {
            begin_connection(receiver, &link);
            return;
        }
        bide_log(BIDE_LOG_WARN, "broker cannot be reached", BIDE_STR("error", error.text));
        bide_reconnect_failed(&receiver->reconnect, now_us(receiver));
    }
    if (!receiver->connector.is_busy && needs_connection(receiver) &&
        bide_reconnect_is_due(&receiver->reconnect, now_us(receiver)) &&
        bide_rmq_connector_start(&receiver->connector, bide_rmq_intake_is_open(&receiver->intake), &error) !=
            BIDE_OK)
        bide_reconnect_failed(&receiver->reconnect, now_us(receiver));
}

/* ---- the calls ---- */

/* No more than a share of what the broker lets us have: so it gets acknowledgements, and sends on, while the
 * user still works on the rest. */
static size_t share(const struct bide_rmq_receiver *receiver, size_t max)
{
    size_t limit = 0;
    for (size_t i = 0; i < receiver->settings->n_queues; i++)
        limit += receiver->limits[i];
    limit = limit / READ_SHARE > READ_LEAST ? limit / READ_SHARE : READ_LEAST;
    return max < limit ? max : limit;
}

static void serve_connection(struct bide_rmq_receiver *receiver, size_t max)
{
    bide_error error;
    bide_code code = bide_rmq_receiver_acknowledge(receiver, &error);
    if (code == BIDE_OK)
        code = bide_rmq_intake_read(
            &receiver->intake, share(receiver, max) + READ_SPARE, &receiver->has_more, &error);
    if (code == BIDE_OK && bide_rmq_wire_waiting(&receiver->intake.wire))
        code = bide_rmq_intake_flush(&receiver->intake, &error);
    if (code == BIDE_OK && bide_rmq_watch(receiver)) {
        code = bide_fail(&error, BIDE_E_BROKER, "%s: messages are ready but none arrives: connecting again",
            receiver->settings->redacted);
        bide_rmq_intake_drop(&receiver->intake);
    }
    if (code != BIDE_OK)
        note_lost(receiver, &error);
}

static void measure_flow(struct bide_rmq_receiver *receiver, size_t n)
{
    int64_t now = now_us(receiver), elapsed_us = now - receiver->flow_since_us;
    receiver->flow_n += n;
    if (elapsed_us >= FLOW_US) {
        receiver->floods = (int64_t)receiver->flow_n * 1000 > FLOOD_PER_MS * elapsed_us;
        receiver->flow_since_us = now;
        receiver->flow_n = 0;
    }
    receiver->rests = receiver->floods && n > 0;
}

static bide_code receive(struct bide_receiver *base, struct bide_delivery **deliveries, size_t max,
    size_t *ret_n, bide_error *error)
{
    struct bide_rmq_receiver *receiver = (struct bide_rmq_receiver *)base;
    (void)error;
    bool was_unsettled = bide_rmq_receiver_unsettled(receiver) > 0;
    if (bide_rmq_courier_has(receiver->courier)) {
        bide_wakeup_drain(&receiver->wakeup);
        bide_rmq_receiver_collect(receiver);
    }
    if (needs_connection(receiver) || receiver->connector.is_busy)
        connect_again(receiver);
    receiver->has_more = false;
    if (bide_rmq_intake_is_open(&receiver->intake))
        serve_connection(receiver, max);
    if (receiver->has_handed)
        bide_rmq_courier_wake(receiver->courier);
    receiver->has_handed = false;
    size_t n = 0;
    for (struct bide_rmq_delivery *delivery; n < max && (delivery = take_ready(receiver));)
        deliveries[n++] = &delivery->base;
    *ret_n = n;
    measure_flow(receiver, n);
    receiver->has_settled = was_unsettled && bide_rmq_receiver_unsettled(receiver) == 0;
    return BIDE_OK;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static void add_fd(struct bide_wait *wait, int fd)
{
    wait->fds[wait->n_fds++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void wait_for(struct bide_receiver *base, struct bide_wait *ret_wait)
{
    struct bide_rmq_receiver *receiver = (struct bide_rmq_receiver *)base;
    int64_t timeout = -1;
    if (bide_rmq_intake_is_open(&receiver->intake)) {
        timeout = bide_rmq_link_beat_us(&receiver->intake.link);
        timeout = sooner(timeout, bide_rmq_receiver_ack_wait_us(receiver));
        timeout = sooner(timeout, bide_rmq_watch_wait_us(receiver));
    }
    if (receiver->rests)
        timeout = sooner(timeout, FLOOD_REST_US);
    if (needs_connection(receiver) && !receiver->connector.is_busy)
        timeout = sooner(timeout, bide_reconnect_wait_us(&receiver->reconnect, now_us(receiver)));
    if (receiver->has_more || receiver->ready || receiver->has_settled ||
        bide_rmq_wire_waiting(&receiver->intake.wire))
        timeout = 0;
    *ret_wait = (struct bide_wait){.timeout_us = timeout};
    add_fd(ret_wait, receiver->wakeup.fd);
    if (receiver->connector.is_busy)
        add_fd(ret_wait, receiver->connected.fd);
    if (bide_rmq_intake_is_open(&receiver->intake) && !receiver->rests)
        add_fd(ret_wait, receiver->intake.link.fd);
}

static void stop(struct bide_receiver *base)
{
    struct bide_rmq_receiver *receiver = (struct bide_rmq_receiver *)base;
    receiver->stopping = true;
    for (size_t i = 0; i < receiver->settings->n_queues; i++)
        receiver->limits[i] = 0;
    apply_limits(receiver);
    return_ready(receiver);
}

static void stats(const struct bide_receiver *base, struct bide_receiver_stats *ret_stats)
{
    const struct bide_rmq_receiver *receiver = (const struct bide_rmq_receiver *)base;
    *ret_stats = (struct bide_receiver_stats){
        .connected = !needs_connection(receiver),
        .reconnects = receiver->n_reconnects,
        .settled = receiver->intake.n_settled,
        .lost = receiver->n_lost + receiver->intake.n_lost,
        .unsettled = bide_rmq_receiver_unsettled(receiver),
    };
}

static void forget(struct bide_receiver *base, struct bide_delivery *delivery)
{
    (void)base;
    bide_rmq_delivery_destroy((struct bide_rmq_delivery *)delivery);
}

/* ---- its life ---- */

static void destroy(struct bide_receiver *base)
{
    struct bide_rmq_receiver *receiver = (struct bide_rmq_receiver *)base;
    bide_rmq_connector_release(&receiver->connector);
    bide_rmq_courier_destroy(receiver->courier);
    if (receiver->intake.channels) {
        bide_error error;
        if (bide_rmq_intake_is_open(&receiver->intake) &&
            bide_rmq_intake_flush(&receiver->intake, &error) == BIDE_OK) /* the last acknowledgements */
            bide_rmq_intake_await_settled(&receiver->intake);
        for (struct bide_rmq_delivery *delivery; (delivery = take_ready(receiver));)
            bide_rmq_delivery_destroy(delivery);
        bide_rmq_intake_release(&receiver->intake);
    }
    bide_wakeup_close(&receiver->wakeup);
    bide_wakeup_close(&receiver->connected);
    bide_rmq_settings_destroy(receiver->settings);
    bide_free(receiver->limits);
    bide_free(receiver->has_begun);
    bide_free(receiver);
}

static const struct bide_receiver_ops ops = {
    .receive = receive,
    .settle = bide_rmq_receiver_settle,
    .limit = set_limit,
    .wait = wait_for,
    .stop = stop,
    .stats = stats,
    .destroy = destroy,
    .forget = forget,
};

static bide_code open_all(struct bide_rmq_receiver *receiver, bide_error *error)
{
    struct bide_rmq_settings *settings = receiver->settings;
    struct bide_rmq_link link;
    receiver->limits = bide_calloc(settings->n_queues + 1, sizeof *receiver->limits);
    receiver->has_begun = bide_calloc(settings->n_queues + 1, sizeof *receiver->has_begun);
    if (!receiver->limits || !receiver->has_begun)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = bide_wakeup_init(&receiver->wakeup, error);
    if (code == BIDE_OK)
        code = bide_wakeup_init(&receiver->connected, error);
    if (code == BIDE_OK)
        code = bide_rmq_intake_init(&receiver->intake, settings, on_delivery, receiver, error);
    if (code == BIDE_OK)
        code = bide_rmq_courier_create(settings, &receiver->wakeup, &receiver->courier, error);
    if (code == BIDE_OK)
        code = bide_rmq_intake_connect(&link, settings, 0, error);
    if (code != BIDE_OK)
        return code;
    bide_rmq_intake_take(&receiver->intake, &link);
    bide_rmq_courier_set_generation(receiver->courier, receiver->intake.generation);
    return BIDE_OK;
}

bide_code bide_rmq_open_receiver(
    const struct bide_broker_options *options, struct bide_receiver **ret_receiver, bide_error *error)
{
    struct bide_rmq_settings *settings;
    bide_code code = bide_rmq_settings_create(options, &settings, error);
    if (code != BIDE_OK)
        return code;
    struct bide_rmq_receiver *receiver = bide_calloc(1, sizeof *receiver);
    if (!receiver) {
        bide_rmq_settings_destroy(settings);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    receiver->base.ops = &ops;
    receiver->settings = settings;
    receiver->wakeup.fd = receiver->connected.fd = -1;
    receiver->ready_end = &receiver->ready;
    bide_rmq_connector_init(&receiver->connector, settings, &receiver->connected);
    code = open_all(receiver, error);
    if (code != BIDE_OK) {
        destroy(&receiver->base);
        return code;
    }
    *ret_receiver = &receiver->base;
    return BIDE_OK;
}
