#include "broker/rabbitmq/receiver.h"

#include "base/alloc.h"
#include "broker/rabbitmq/objects.h"

/* A message may use this share (a third) of the broker's consumer_timeout until it begins to run; the rest is
 * for the run. */
enum { PATIENCE_SHARE = 3 };

enum { READ_SHARE = 4, READ_LEAST = 16, READ_SPARE = 2 };

/* Many messages arrive in packets of a few each, and waking up for each packet costs more than handling its
 * messages. So while more than FLOOD_PER_MS arrive, the receiver looks only every FLOOD_REST_US, as network
 * drivers do with interrupts. */
enum { FLOW_US = 2000, FLOOD_PER_MS = 20, FLOOD_REST_US = 500 };

static int64_t now_us(const struct bide_rmq_receiver *receiver)
{
    return bide_mono_us(receiver->settings->clock);
}

/* ---- incoming messages ---- */

/* How early a delivery may be handed out. One from the work queue takes a place of the limit meanwhile, so it
 * waits for its due time in the landing queue unless that is not worth a hop; from the later queue none is.
 */
static const int64_t most_early_ms[BIDE_RMQ_PARTS] = {
    [BIDE_RMQ_WORK] = 20, [BIDE_RMQ_LANDING] = BIDE_RMQ_LANDING_MS, [BIDE_RMQ_LATER] = INT64_MIN};

/* Takes an early message over: the courier publishes it to where it waits for its due time. */
static void plan(struct bide_rmq_receiver *receiver, struct bide_rmq_delivery *delivery)
{
    const struct bide_settlement on = {.delivery = &delivery->base, .verdict = BIDE_VERDICT_RELEASE};
    size_t channel = bide_rmq_delivery_channel(delivery), bytes = delivery->charge;
    delivery->is_early = true;
    if (bide_rmq_receiver_publish(receiver, &on))
        bide_rmq_early_begun(receiver, channel, bytes);
}

/* Sorts a delivery that was read, before the user sees it: returned, published to where it waits, or
 * ready. */
static void on_delivery(void *owner, struct bide_rmq_delivery *delivery)
{
    struct bide_rmq_receiver *receiver = owner;
    int64_t early_ms = delivery->base.message->due_ms - bide_wall_ms(receiver->settings->clock);
    bool is_early = !delivery->base.defect && early_ms > most_early_ms[delivery->part];
    if (delivery->part == BIDE_RMQ_LANDING)
        bide_rmq_receiver_ask_workers(receiver, delivery->base.queue);
    if (receiver->stopping || bide_rmq_receiver_is_glutted(receiver, bide_rmq_delivery_channel(delivery)) ||
        bide_rmq_early_is_surplus(receiver, delivery, is_early)) {
        bide_rmq_inbound_return(&receiver->inbound, delivery);
        bide_rmq_delivery_destroy(delivery);
    } else if (is_early) {
        plan(receiver, delivery);
    } else {
        delivery->base.is_done = delivery->is_redelivered && bide_rmq_acked_find(&receiver->acked, delivery);
        bide_rmq_receiver_add_ready(receiver, delivery);
    }
}

/* ---- limits ---- */

static void obey_stuck(struct bide_rmq_receiver *receiver)
{
    size_t n = bide_rmq_courier_all_stuck(receiver->courier);
    size_t aside = bide_rmq_courier_stuck_bytes(receiver->courier);
    bool has_changed = n != receiver->n_stuck || aside != receiver->inbound.aside;
    receiver->inbound.aside = aside;
    if (has_changed)
        bide_rmq_receiver_apply_limits(receiver);
    receiver->n_stuck = n;
}

static void set_limit(struct bide_receiver *base, size_t queue, size_t limit)
{
    struct bide_rmq_receiver *receiver = (struct bide_rmq_receiver *)base;
    if (receiver->stopping)
        return;
    receiver->limits[queue] = limit;
    receiver->has_begun[queue] |= limit > 0;
    bide_rmq_receiver_apply_limits(receiver);
}

/* ---- the calls ---- */

/* Reads no more than a share of all limits in one call: so the broker gets acknowledgements and sends more
 * while the user still works on the rest. */
static size_t share(const struct bide_rmq_receiver *receiver, size_t max)
{
    size_t limit = 0;
    for (size_t i = 0; i < receiver->settings->n_queues; i++)
        limit += receiver->limits[i];
    limit = limit / READ_SHARE > READ_LEAST ? limit / READ_SHARE : READ_LEAST;
    return max < limit ? max : limit;
}

/* Sends a heartbeat: while nothing is read, the library sends none. */
static bide_code show_life(struct bide_rmq_receiver *receiver, bide_error *error)
{
    int64_t every_us = bide_rmq_link_beat_us(&receiver->inbound.link);
    if (every_us < 0 || now_us(receiver) < receiver->beat_us + every_us)
        return BIDE_OK;
    receiver->beat_us = now_us(receiver);
    return bide_rmq_inbound_beat(&receiver->inbound, error);
}

static void serve_connection(struct bide_rmq_receiver *receiver, size_t max)
{
    bide_error error;
    bide_code code = bide_rmq_receiver_acknowledge(receiver, &error);
    if (code == BIDE_OK)
        code = bide_rmq_inbound_read(
            &receiver->inbound, share(receiver, max) + READ_SPARE, &receiver->has_more, &error);
    if (code == BIDE_OK && bide_rmq_inbound_is_full(&receiver->inbound))
        code = show_life(receiver, &error);
    if (code == BIDE_OK && receiver->inbound.has_downed)
        bide_rmq_receiver_note_downed(receiver);
    if (code == BIDE_OK && receiver->inbound.has_caught_up) {
        receiver->inbound.has_caught_up = false;
        bide_rmq_receiver_apply_limits(receiver);
    }
    if (code == BIDE_OK && receiver->n_told > 0)
        bide_rmq_receiver_note_revived(receiver);
    if (code == BIDE_OK && bide_rmq_wire_waiting(&receiver->inbound.wire))
        code = bide_rmq_inbound_flush(&receiver->inbound, &error);
    if (code == BIDE_OK && bide_rmq_has_stalled(receiver)) {
        code = bide_fail(&error, BIDE_E_BROKER, "%s: messages are ready but none arrives: connecting again",
            receiver->settings->redacted);
        bide_rmq_inbound_drop(&receiver->inbound);
    }
    if (code != BIDE_OK)
        bide_rmq_receiver_note_lost(receiver, &error);
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
        obey_stuck(receiver);
        if (bide_rmq_receiver_note_workers(receiver))
            bide_rmq_receiver_apply_limits(receiver);
    }
    if (receiver->connector.is_busy || bide_rmq_receiver_needs_connection_us(receiver) == 0)
        bide_rmq_receiver_connect_again(receiver);
    receiver->has_more = false;
    if (bide_rmq_inbound_is_open(&receiver->inbound))
        serve_connection(receiver, max);
    if (receiver->has_handed)
        bide_rmq_courier_wake(receiver->courier);
    receiver->has_handed = false;
    size_t n = 0;
    for (struct bide_rmq_delivery *delivery; n < max && (delivery = bide_rmq_receiver_take_ready(receiver));)
        deliveries[n++] = &delivery->base;
    *ret_n = n;
    measure_flow(receiver, n);
    receiver->has_settled = was_unsettled && bide_rmq_receiver_unsettled(receiver) == 0;
    return BIDE_OK;
}

static void add_fd(struct bide_wait *wait, int fd)
{
    wait->fds[wait->n_fds++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void wait_for(struct bide_receiver *base, struct bide_wait *ret_wait)
{
    struct bide_rmq_receiver *receiver = (struct bide_rmq_receiver *)base;
    int64_t timeout = -1;
    if (bide_rmq_inbound_is_open(&receiver->inbound)) {
        timeout = bide_rmq_link_beat_us(&receiver->inbound.link);
        timeout = bide_rmq_sooner(timeout, bide_rmq_receiver_ack_wait_us(receiver));
        timeout = bide_rmq_sooner(timeout, bide_rmq_stalls_wait_us(receiver));
    }
    if (receiver->rests)
        timeout = bide_rmq_sooner(timeout, FLOOD_REST_US);
    if (!receiver->connector.is_busy)
        timeout = bide_rmq_sooner(timeout, bide_rmq_receiver_needs_connection_us(receiver));
    bool is_full = bide_rmq_inbound_is_full(&receiver->inbound);
    if ((receiver->has_more && !is_full) || receiver->ready || receiver->has_settled ||
        bide_rmq_wire_waiting(&receiver->inbound.wire))
        timeout = 0;
    *ret_wait = (struct bide_wait){.timeout_us = timeout};
    add_fd(ret_wait, receiver->wakeup.fd);
    if (receiver->connector.is_busy)
        add_fd(ret_wait, receiver->connected.fd);
    if (bide_rmq_inbound_is_open(&receiver->inbound) && !receiver->rests && !is_full)
        add_fd(ret_wait, receiver->inbound.link.fd);
}

static void stop(struct bide_receiver *base)
{
    struct bide_rmq_receiver *receiver = (struct bide_rmq_receiver *)base;
    receiver->stopping = true;
    for (size_t i = 0; i < receiver->settings->n_queues; i++)
        receiver->limits[i] = 0;
    bide_rmq_receiver_apply_limits(receiver);
    bide_rmq_receiver_return_ready(receiver);
}

static void stats(const struct bide_receiver *base, struct bide_receiver_stats *ret_stats)
{
    const struct bide_rmq_receiver *receiver = (const struct bide_rmq_receiver *)base;
    *ret_stats = (struct bide_receiver_stats){
        .connected = bide_rmq_inbound_is_open(&receiver->inbound) && receiver->inbound.n_down == 0,
        .reconnects = receiver->n_reconnects,
        .settled = receiver->inbound.n_settled,
        .lost = receiver->n_lost + receiver->inbound.n_lost,
        .unsettled = bide_rmq_receiver_unsettled(receiver),
        .patience_us = receiver->settings->consumer_timeout_s * INT64_C(1000000) / PATIENCE_SHARE,
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
    if (receiver->inbound.channels) {
        bide_error error;
        if (bide_rmq_inbound_is_open(&receiver->inbound) &&
            bide_rmq_inbound_flush(&receiver->inbound, &error) == BIDE_OK) /* the last acknowledgements */
            bide_rmq_inbound_await_settled(&receiver->inbound);
        for (struct bide_rmq_delivery *delivery; (delivery = bide_rmq_receiver_take_ready(receiver));)
            bide_rmq_delivery_destroy(delivery);
        bide_rmq_inbound_release(&receiver->inbound);
    }
    bide_wakeup_close(&receiver->wakeup);
    bide_wakeup_close(&receiver->connected);
    bide_rmq_settings_destroy(receiver->settings);
    bide_free(receiver->limits);
    bide_free(receiver->has_begun);
    bide_free(receiver->downs);
    bide_free(receiver->early);
    bide_free(receiver->sharing);
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
    receiver->downs = bide_calloc(BIDE_RMQ_PARTS * settings->n_queues + 1, sizeof *receiver->downs);
    receiver->early = bide_calloc(BIDE_RMQ_PARTS * settings->n_queues + 1, sizeof *receiver->early);
    receiver->sharing = bide_calloc(settings->n_queues + 1, sizeof *receiver->sharing);
    if (!receiver->limits || !receiver->has_begun || !receiver->downs || !receiver->early ||
        !receiver->sharing)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = bide_wakeup_init(&receiver->wakeup, error);
    if (code == BIDE_OK)
        code = bide_wakeup_init(&receiver->connected, error);
    if (code == BIDE_OK)
        code = bide_rmq_inbound_init(&receiver->inbound, settings, on_delivery, receiver, error);
    if (code == BIDE_OK)
        code = bide_rmq_courier_create(settings, &receiver->wakeup, &receiver->courier, error);
    if (code == BIDE_OK)
        code = bide_rmq_inbound_connect(&link, settings, 0, NULL, error);
    if (code != BIDE_OK)
        return code;
    bide_rmq_inbound_take(&receiver->inbound, &link);
    bide_rmq_receiver_tell_generations(receiver);
    return BIDE_OK;
}

bide_code bide_rmq_open_receiver(
    const struct bide_broker_options *options, struct bide_receiver **ret_receiver, bide_error *error)
{
    struct bide_rmq_settings *settings;
    bide_code code = bide_rmq_settings_create(options, &settings, error);
    if (code != BIDE_OK)
        return code;
    settings->joins = true;
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
