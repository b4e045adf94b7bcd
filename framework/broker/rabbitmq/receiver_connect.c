/* The receiver's connection, and its channels that the broker has taken down. */
#include "broker/rabbitmq/receiver.h"

#include <stdio.h>

#include "bide/log.h"

static int64_t now_us(const struct bide_rmq_receiver *receiver)
{
    return bide_mono_us(receiver->settings->clock);
}

void bide_rmq_receiver_tell_generations(struct bide_rmq_receiver *receiver)
{
    for (size_t i = 0; i < receiver->inbound.n_channels; i++)
        bide_rmq_courier_set_generation(receiver->courier, i, receiver->inbound.channels[i].generation);
}

void bide_rmq_receiver_note_lost(struct bide_rmq_receiver *receiver, const bide_error *error)
{
    bide_log(BIDE_LOG_WARN, "broker connection lost", BIDE_STR("error", error->text));
    bide_rmq_receiver_tell_generations(receiver);
    bide_reconnect_failed(&receiver->reconnect, now_us(receiver));
    receiver->ack_since_us = 0;
    bide_rmq_receiver_drop_stale(receiver);
}

/* ---- channels that are down ---- */

/* Logs a channel that went down, once until it consumes again. Other channels go on. */
void bide_rmq_receiver_note_downed(struct bide_rmq_receiver *receiver)
{
    receiver->inbound.has_downed = false;
    for (size_t i = 0; i < receiver->inbound.n_channels; i++) {
        const struct bide_rmq_channel *channel = &receiver->inbound.channels[i];
        struct bide_rmq_down *down = &receiver->downs[i];
        if (!channel->is_down || !bide_reconnect_is_due(&down->again, now_us(receiver)))
            continue;
        if (!down->is_told)
            bide_log(BIDE_LOG_WARN, "a queue is not served: the broker refuses it",
                BIDE_STR("queue", receiver->settings->queues[i / BIDE_RMQ_PARTS].name),
                BIDE_STR("error", channel->why.text));
        receiver->n_told += !down->is_told;
        down->is_told = true;
        bide_reconnect_failed(&down->again, now_us(receiver));
    }
    bide_rmq_receiver_tell_generations(receiver);
    bide_rmq_receiver_drop_stale(receiver);
}

void bide_rmq_receiver_note_revived(struct bide_rmq_receiver *receiver)
{
    for (size_t i = 0; i < receiver->inbound.n_channels; i++) {
        struct bide_rmq_down *down = &receiver->downs[i];
        if (!down->is_told || !receiver->inbound.channels[i].consumes)
            continue;
        bide_log(BIDE_LOG_INFO, "a queue is served again",
            BIDE_STR("queue", receiver->settings->queues[i / BIDE_RMQ_PARTS].name));
        *down = (struct bide_rmq_down){.stuck = down->stuck};
        receiver->n_told--;
    }
}

/* How long until the first channel that is down is tried again; -1: none is down. */
static int64_t down_wait_us(const struct bide_rmq_receiver *receiver)
{
    int64_t wait = -1;
    if (receiver->inbound.n_down == 0 || receiver->stopping)
        return -1;
    for (size_t i = 0; i < receiver->inbound.n_channels; i++)
        if (receiver->inbound.channels[i].is_down)
            wait = bide_rmq_sooner(wait, bide_reconnect_wait_us(&receiver->downs[i].again, now_us(receiver)));
    return wait;
}

/* Consumes again on channels that were down. A new connection has declared their queues if they were deleted;
 * the old connection goes on with its deliveries. */
static void consume_again(struct bide_rmq_receiver *receiver)
{
    for (size_t i = 0; i < receiver->inbound.n_channels; i++)
        if (receiver->inbound.channels[i].is_down &&
            bide_reconnect_is_due(&receiver->downs[i].again, now_us(receiver)))
            bide_rmq_inbound_revive(&receiver->inbound, i);
    bide_rmq_receiver_tell_generations(receiver);
}

/* ---- the connection ---- */

static void begin_connection(struct bide_rmq_receiver *receiver, struct bide_rmq_link *link)
{
    bide_reconnect_succeeded(&receiver->reconnect);
    if (bide_rmq_inbound_is_open(&receiver->inbound)) {
        consume_again(receiver);
    } else if (!link->amqp) {
        return; /* it only declared, and the consuming connection was lost meanwhile */
    } else {
        bide_rmq_inbound_take(&receiver->inbound, link);
        bide_rmq_receiver_tell_generations(receiver);
        receiver->n_reconnects++;
        bide_log(BIDE_LOG_INFO, "broker connection restored");
    }
    bide_rmq_receiver_apply_limits(receiver);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How long until a connection is needed, to consume, or to declare for a channel that is down; -1: none
 * is. */
int64_t bide_rmq_receiver_needs_connection_us(const struct bide_rmq_receiver *receiver)
{
    if (!bide_rmq_inbound_is_open(&receiver->inbound))
        return bide_reconnect_wait_us(&receiver->reconnect, now_us(receiver));
    int64_t wait = down_wait_us(receiver);
    return wait < 0 ? -1 : later(wait, bide_reconnect_wait_us(&receiver->reconnect, now_us(receiver)));
}

/* Logs each different refusal once. */
static void tell_refused(struct bide_rmq_receiver *receiver)
{
    const struct bide_rmq_refused *refused = &receiver->connector.refused;
    if (refused->n > 0 && strcmp(refused->first.text, receiver->refusal) != 0)
        bide_log(BIDE_LOG_WARN, "some exchanges and queues cannot be declared",
            BIDE_INT("refused", (int64_t)refused->n), BIDE_STR("error", refused->first.text));
    snprintf(receiver->refusal, sizeof receiver->refusal, "%s", refused->n ? refused->first.text : "");
}

static void finish_connecting(struct bide_rmq_receiver *receiver)
{
    struct bide_rmq_link link;
    bide_code code;
    bide_error error;
    if (!bide_rmq_connector_finish(&receiver->connector, &link, &code, &error))
        return;
    bide_wakeup_drain(&receiver->connected);
    if (code == BIDE_OK) {
        tell_refused(receiver);
        begin_connection(receiver, &link);
        return;
    }
    bide_log(BIDE_LOG_WARN, "broker cannot be reached", BIDE_STR("error", error.text));
    bide_reconnect_failed(&receiver->reconnect, now_us(receiver));
}

void bide_rmq_receiver_connect_again(struct bide_rmq_receiver *receiver)
{
    bide_error error;
    finish_connecting(receiver);
    bool declare_only = bide_rmq_inbound_is_open(&receiver->inbound);
    if (!receiver->connector.is_busy && bide_rmq_receiver_needs_connection_us(receiver) == 0 &&
        bide_rmq_connector_start(&receiver->connector, declare_only, &error) != BIDE_OK)
        bide_reconnect_failed(&receiver->reconnect, now_us(receiver));
}
