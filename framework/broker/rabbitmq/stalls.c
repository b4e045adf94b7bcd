#include "broker/rabbitmq/receiver.h"

enum { QUIET_US = 10 * 1000 * 1000, STRIKES = 2 };

/* The channel consumes, has room, and so should get every message that is ready. */
static bool could_take_more(const struct bide_rmq_channel *channel)
{
    return channel->limit > 0 && channel->tags.n_out + channel->tags.n_done < channel->limit;
}

/* Looks at one channel. True when the channel got no ready message twice in a row. */
static bool look(struct bide_rmq_receiver *receiver, size_t index, int64_t now)
{
    struct bide_rmq_channel *channel = &receiver->inbound.channels[index];
    if (!could_take_more(channel) || channel->quiet_us == 0 || bide_rmq_inbound_is_full(&receiver->inbound)) {
        channel->quiet_us = now;
        return false;
    }
    if (now - channel->quiet_us < QUIET_US)
        return false;
    channel->quiet_us = now;
    if (bide_rmq_courier_seen(receiver->courier, index) == BIDE_RMQ_SOMETHING)
        channel->strikes++;
    else
        channel->strikes = 0;
    if (channel->strikes == STRIKES)
        return true;
    bide_rmq_courier_look(receiver->courier, index);
    receiver->has_handed = true;
    return false;
}

bool bide_rmq_has_stalled(struct bide_rmq_receiver *receiver)
{
    int64_t now = bide_mono_us(receiver->settings->clock);
    if (now < receiver->stalls_us || !bide_rmq_inbound_is_open(&receiver->inbound))
        return false;
    receiver->stalls_us = now + QUIET_US;
    bool is_ill = false;
    for (size_t i = 0; i < receiver->inbound.n_channels; i++)
        is_ill |= look(receiver, i, now);
    return is_ill;
}

int64_t bide_rmq_stalls_wait_us(const struct bide_rmq_receiver *receiver)
{
    if (!bide_rmq_inbound_is_open(&receiver->inbound))
        return -1;
    int64_t left = receiver->stalls_us - bide_mono_us(receiver->settings->clock);
    return left > 0 ? left : 0;
}
