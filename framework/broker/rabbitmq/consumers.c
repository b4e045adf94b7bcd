/* The consumers of the inbound connection: their prefetch, and their end. */
#include <stdio.h>

#include "broker/rabbitmq/inbound.h"

enum { TAG_TEXT = 32, PREFETCH_MAX = 65535, SETTLED_MS = 5000 };

static void stop_consumer(struct bide_rmq_inbound *inbound, size_t index)
{
    struct bide_rmq_channel *channel = &inbound->channels[index];
    char tag[TAG_TEXT];
    channel->limit -= channel->prefetch[--channel->n_consumers];
    snprintf(tag, sizeof tag, "%u", channel->names[channel->n_consumers]);
    amqp_basic_cancel_t cancel = {.consumer_tag = bide_rmq_text(tag), .nowait = 1};
    bide_rmq_wire_method(&inbound->wire, bide_rmq_number_of(index), AMQP_BASIC_CANCEL_METHOD, &cancel);
}

/* Never uses a tag twice on a channel. If a consumer of a quorum queue begins under the tag of one that was
 * cancelled with unacknowledged messages, RabbitMQ's channel crashes (3.10.8), and all its deliveries run
 * again. */
static void start_consumer(struct bide_rmq_inbound *inbound, size_t index, size_t prefetch)
{
    struct bide_rmq_channel *channel = &inbound->channels[index];
    char tag[TAG_TEXT];
    snprintf(tag, sizeof tag, "%u", ++channel->last_name);
    channel->names[channel->n_consumers] = channel->last_name;
    channel->limit += channel->prefetch[channel->n_consumers++] = prefetch;
    amqp_basic_qos_t qos = {.prefetch_count = (uint16_t)prefetch};
    bide_rmq_wire_method(&inbound->wire, bide_rmq_number_of(index), AMQP_BASIC_QOS_METHOD, &qos);
    amqp_basic_consume_t consume = {
        .queue = bide_rmq_text(bide_rmq_queue_of(inbound, index)), .consumer_tag = bide_rmq_text(tag)};
    bide_rmq_wire_method(&inbound->wire, bide_rmq_number_of(index), AMQP_BASIC_CONSUME_METHOD, &consume);
}

/* Sets the limit of a channel. AMQP's prefetch applies to each consumer that begins after it. So a higher
 * limit is reached by one more consumer with the difference as its prefetch, and a lower one by ending the
 * latest consumers; then deliveries in hand never add to the new limit.
 *
 * No consumer is ended before the broker has confirmed that all have begun: otherwise the confirmation meets
 * a consumer that no longer exists, and the broker's channel crashes (RabbitMQ 3.10.8, quorum queues). */
void bide_rmq_inbound_consume(struct bide_rmq_inbound *inbound, size_t index, size_t limit)
{
    struct bide_rmq_channel *channel = &inbound->channels[index];
    if (limit > PREFETCH_MAX)
        limit = PREFETCH_MAX;
    bool ends_some = channel->limit > limit || channel->n_consumers == BIDE_RMQ_CONSUMERS;
    channel->is_late = ends_some && channel->begun_name != channel->last_name;
    if (channel->is_late)
        return;
    while (channel->n_consumers && (channel->limit > limit || channel->n_consumers == BIDE_RMQ_CONSUMERS))
        stop_consumer(inbound, index);
    if (channel->limit < limit)
        start_consumer(inbound, index, limit - channel->limit);
}

bool bide_rmq_inbound_consumes(
    const struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery)
{
    const struct bide_rmq_channel *channel = &inbound->channels[bide_rmq_delivery_channel(delivery)];
    for (size_t i = 0; i < channel->n_consumers; i++)
        if (channel->names[i] == delivery->consumer)
            return true;
    return false;
}

/* ---- the end ---- */

static bool has_delivered(const struct bide_rmq_channel *channel)
{
    return channel->tags.next > 1 && !channel->is_down;
}

/* Begins and ends a consumer. Both commands pass through the queue's log behind the acknowledgements; the
 * broker answers when they are in the log. */
static bool pass_log(struct bide_rmq_inbound *inbound, size_t index)
{
    struct bide_rmq_channel *channel = &inbound->channels[index];
    amqp_bytes_t name = bide_rmq_text(bide_rmq_queue_of(inbound, index));
    char text[TAG_TEXT];
    snprintf(text, sizeof text, "%u", ++channel->last_name);
    amqp_bytes_t tag = bide_rmq_text(text);
    amqp_connection_state_t amqp = inbound->link.amqp;
    return amqp_basic_qos(amqp, bide_rmq_number_of(index), 0, 1, 0) &&
           amqp_basic_consume(amqp, bide_rmq_number_of(index), name, tag, 0, 0, 0, amqp_empty_table) &&
           amqp_basic_cancel(amqp, bide_rmq_number_of(index), tag);
}

/* While a quorum queue is slow, the broker's channel holds acknowledgements back. If the channel ends then,
 * they are lost and the messages run again. The channel sends them on when it learns that the log has taken
 * the earlier ones: at the latest by its second answer. */
void bide_rmq_inbound_await_settled(struct bide_rmq_inbound *inbound)
{
    if (!inbound->link.amqp || inbound->settings->classic)
        return;
    int64_t end_us = bide_mono_us(inbound->settings->clock) + SETTLED_MS * 1000;
    bide_rmq_link_hurry(&inbound->link, SETTLED_MS);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < inbound->n_channels; i++)
            if (has_delivered(&inbound->channels[i]) &&
                (!pass_log(inbound, i) || bide_mono_us(inbound->settings->clock) > end_us))
                return;
}
