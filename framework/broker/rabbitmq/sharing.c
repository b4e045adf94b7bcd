/* Counts the workers on each landing queue: asked by the courier when a landed message arrives, at most once
 * in ASK_EVERY_US. The later queue is asked about, too. A landing queue also counts consumers that were
 * cancelled, as long as a message of theirs is in hand, and so does a change of the share that one would
 * follow; a later queue has more than one consumer of a worker while many messages come in there. */
#include "broker/rabbitmq/sharing.h"

#include "broker/rabbitmq/receiver.h"

enum { ASK_EVERY_US = 10 * 1000 * 1000 };

static const size_t parts[BIDE_RMQ_SHARING_PARTS] = {BIDE_RMQ_LANDING, BIDE_RMQ_LATER};

size_t bide_rmq_landed_share(size_t n_workers)
{
    size_t share = BIDE_RMQ_LANDED_MAX;
    for (size_t n = 1; n < n_workers && share > BIDE_RMQ_LANDED_LEAST; n *= 2)
        share /= 2;
    return share;
}

size_t bide_rmq_workers_of(const struct bide_rmq_consumers *queues, size_t n, size_t before)
{
    size_t least = 0;
    for (size_t i = 0; i < n; i++) {
        /* A broker in trouble says 0: fewer than ours is no answer. */
        if (queues[i].own == 0 || queues[i].all < (int64_t)queues[i].own)
            continue;
        size_t workers = (size_t)queues[i].all - queues[i].own + 1;
        if (least == 0 || workers < least)
            least = workers;
    }
    return least ? least : before;
}

/* The consumers that we have on a channel; 0 while the broker has not confirmed all. */
static size_t own_consumers(const struct bide_rmq_receiver *receiver, size_t channel)
{
    const struct bide_rmq_channel *inbound = &receiver->inbound.channels[channel];
    return inbound->begun_name == inbound->last_name ? inbound->n_consumers : 0;
}

void bide_rmq_receiver_ask_workers(struct bide_rmq_receiver *receiver, size_t queue)
{
    struct bide_rmq_sharing *sharing = &receiver->sharing[queue];
    int64_t now = bide_mono_us(receiver->settings->clock);
    if (now < sharing->ask_us || own_consumers(receiver, queue * BIDE_RMQ_PARTS + BIDE_RMQ_LANDING) == 0)
        return;
    for (size_t i = 0; i < BIDE_RMQ_SHARING_PARTS; i++) {
        size_t channel = queue * BIDE_RMQ_PARTS + parts[i];
        sharing->own[i] = own_consumers(receiver, channel);
        bide_rmq_courier_count(receiver->courier, channel);
    }
    sharing->ask_us = now + ASK_EVERY_US;
    sharing->is_asking = receiver->has_handed = true;
}

/* Takes the answers where all have come. One that was given while our own consumers changed does not count.
 * True where the number of workers is another one now. */
static bool take_answers(struct bide_rmq_receiver *receiver, size_t queue)
{
    struct bide_rmq_sharing *sharing = &receiver->sharing[queue];
    struct bide_rmq_consumers consumers[BIDE_RMQ_SHARING_PARTS];
    for (size_t i = 0; i < BIDE_RMQ_SHARING_PARTS; i++) {
        size_t channel = queue * BIDE_RMQ_PARTS + parts[i];
        consumers[i].all = bide_rmq_courier_counted(receiver->courier, channel);
        if (consumers[i].all == BIDE_RMQ_UNCOUNTED)
            return false;
        consumers[i].own = sharing->own[i] == own_consumers(receiver, channel) ? sharing->own[i] : 0;
    }
    sharing->is_asking = false;
    size_t before = sharing->n_workers;
    sharing->n_workers = bide_rmq_workers_of(consumers, BIDE_RMQ_SHARING_PARTS, before);
    return sharing->n_workers != before;
}

bool bide_rmq_receiver_note_workers(struct bide_rmq_receiver *receiver)
{
    bool has_changed = false;
    for (size_t i = 0; i < receiver->settings->n_queues; i++)
        if (receiver->sharing[i].is_asking)
            has_changed |= take_answers(receiver, i);
    return has_changed;
}
