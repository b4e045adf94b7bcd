/* Early messages: what a foreign producer has published to a work queue though it is due later, and all
 * messages of a later queue. The user does not see them. The courier publishes each to where it waits for its
 * due time (one that is due: to the work queue), many at a time, and then the original is acknowledged.
 *
 * They must not take the places of messages that could run. So a channel on which all places are taken, most
 * of them by early messages, gets as many more, by one more consumer, again and again up to ROOM_MAX: its
 * room. A later queue begins with BIDE_RMQ_LATER_FIRST places. Room is given only while the bodies of all
 * early messages are a small part of the budget (worker.max_in_flight).
 *
 * The next messages may be others: due ones, of which the user wants no more than the limit, or large ones
 * while the broker takes nothing. When there are too many of them, the room is closed, and what came by its
 * consumers goes back to the broker. What came by the other consumers stays, or it would come again at once.
 */
#include "broker/rabbitmq/receiver.h"

enum { ROOM_MAX = 4096, GROWING_SHARE = 8, CROWDED_SHARE = 2, PAUSE_US = 100000 };

static struct bide_rmq_early *early_of(struct bide_rmq_receiver *receiver, size_t channel)
{
    return &receiver->early[channel];
}

/* Do the bodies of early messages take less than this share of the budget? */
static bool take_less(const struct bide_rmq_receiver *receiver, size_t share)
{
    size_t most = receiver->settings->max_in_flight;
    return most == 0 || receiver->early_bytes < most / share;
}

/* Are all places of the channel taken, at least half of them by messages on their way? Those that the broker
 * refuses have room of their own. */
static bool is_held_up(struct bide_rmq_receiver *receiver, size_t channel)
{
    const struct bide_rmq_channel *inbound = &receiver->inbound.channels[channel];
    size_t stuck = bide_rmq_courier_stuck(receiver->courier, channel), n = early_of(receiver, channel)->n;
    return inbound->tags.n_out + inbound->tags.n_done >= inbound->limit && n > stuck &&
           2 * (n - stuck) >= inbound->limit;
}

static void make_room(struct bide_rmq_receiver *receiver, size_t channel)
{
    struct bide_rmq_early *early = early_of(receiver, channel);
    size_t limit = receiver->inbound.channels[channel].limit;
    if (early->room >= ROOM_MAX || !is_held_up(receiver, channel) || !take_less(receiver, GROWING_SHARE) ||
        bide_mono_us(receiver->settings->clock) < early->closed_until_us)
        return;
    early->room += limit;
    bide_rmq_receiver_apply_limits(receiver);
}

void bide_rmq_early_begun(struct bide_rmq_receiver *receiver, size_t channel, size_t bytes)
{
    early_of(receiver, channel)->n++;
    receiver->early_bytes += bytes;
    make_room(receiver, channel);
}

void bide_rmq_early_ended(struct bide_rmq_receiver *receiver, const struct bide_rmq_delivery *delivery)
{
    early_of(receiver, bide_rmq_delivery_channel(delivery))->n--;
    receiver->early_bytes -= delivery->charge;
}

/* Are there too many like this one? */
static bool is_crowded(
    struct bide_rmq_receiver *receiver, const struct bide_rmq_delivery *delivery, bool is_early)
{
    size_t channel = bide_rmq_delivery_channel(delivery);
    size_t others = early_of(receiver, channel)->n + bide_rmq_courier_stuck(receiver->courier, channel);
    if (is_early)
        return !take_less(receiver, CROWDED_SHARE);
    return delivery->part == BIDE_RMQ_WORK && receiver->inbound.channels[channel].tags.n_out >
                                                  others + 2 * receiver->limits[delivery->base.queue];
}

bool bide_rmq_early_is_surplus(
    struct bide_rmq_receiver *receiver, const struct bide_rmq_delivery *delivery, bool is_early)
{
    struct bide_rmq_early *early = early_of(receiver, bide_rmq_delivery_channel(delivery));
    bool had_room = early->room > 0 || early->closed_until_us > 0;
    if (!had_room || !is_crowded(receiver, delivery, is_early))
        return false;
    early->closed_until_us = bide_mono_us(receiver->settings->clock) + PAUSE_US;
    if (early->room > 0) {
        early->room = 0;
        bide_rmq_receiver_apply_limits(receiver);
    }
    return !bide_rmq_inbound_consumes(&receiver->inbound, delivery);
}
