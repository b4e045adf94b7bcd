/* How many deliveries each channel may have in hand. */
#include "broker/rabbitmq/receiver.h"
#include "broker/rabbitmq/sharing.h"

enum { STUCK_MAX = 1000, EXACT_LIMIT = 8 };

bool bide_rmq_receiver_is_glutted(const struct bide_rmq_receiver *receiver, size_t channel)
{
    size_t most = receiver->settings->max_in_flight;
    return most && receiver->inbound.aside >= most && bide_rmq_courier_stuck(receiver->courier, channel) > 0;
}

/* Is the wanted limit so different that a new consumer is worth its cost? Small limits are kept exactly,
 * larger ones within a factor of two. */
static bool is_far(size_t wanted, size_t present)
{
    if (wanted == present)
        return false;
    if (wanted == 0 || present == 0 || wanted < EXACT_LIMIT || present < EXACT_LIMIT)
        return true;
    return wanted >= 2 * present || wanted <= present / 2;
}

/* What is not due yet is taken in even while the user wants nothing (a pause), once it has begun. */
static size_t limit_of(const struct bide_rmq_receiver *receiver, size_t channel)
{
    size_t queue = channel / BIDE_RMQ_PARTS, part = channel % BIDE_RMQ_PARTS;
    if (part == BIDE_RMQ_WORK)
        return receiver->limits[queue];
    if (!receiver->has_begun[queue] || receiver->stopping)
        return 0;
    if (part == BIDE_RMQ_LATER)
        return BIDE_RMQ_LATER_FIRST;
    size_t share = bide_rmq_landed_share(receiver->sharing[queue].n_workers);
    return share < receiver->settings->early_max ? share : receiver->settings->early_max;
}

/* Adds room without end to a limit of 0, or to consumers that are gone. */
static size_t early_room(struct bide_rmq_receiver *receiver, size_t channel, size_t limit)
{
    struct bide_rmq_early *early = &receiver->early[channel];
    if (limit == 0 || receiver->inbound.channels[channel].limit == 0)
        early->room = 0;
    return early->room;
}

/* Adds room for stuck deliveries, up to a bound, because they do not count. The room stays until the limit is
 * 0: a smaller limit would end consumers that have deliveries in hand, without need. Adds room for early
 * messages, too. */
static size_t wanted_on(struct bide_rmq_receiver *receiver, size_t channel)
{
    size_t wanted = limit_of(receiver, channel);
    struct bide_rmq_down *down = &receiver->downs[channel];
    size_t stuck = bide_rmq_courier_stuck(receiver->courier, channel);
    if (bide_rmq_receiver_is_glutted(receiver, channel))
        wanted = 0;
    if (stuck > down->stuck)
        down->stuck = stuck < STUCK_MAX ? stuck : STUCK_MAX;
    if (wanted == 0)
        down->stuck = 0;
    return wanted + down->stuck + early_room(receiver, channel, wanted);
}

void bide_rmq_receiver_apply_limits(struct bide_rmq_receiver *receiver)
{
    struct bide_rmq_inbound *inbound = &receiver->inbound;
    if (!bide_rmq_inbound_is_open(inbound))
        return;
    for (size_t i = 0; i < inbound->n_channels; i++) {
        if (inbound->channels[i].is_down)
            continue;
        size_t wanted = wanted_on(receiver, i);
        if (is_far(wanted, inbound->channels[i].limit))
            bide_rmq_inbound_consume(inbound, i, wanted);
    }
}
