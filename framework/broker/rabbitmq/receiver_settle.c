#include "base/bug.h"
#include "broker/rabbitmq/receiver.h"

#include "base/killpoint.h"

/* The first acknowledgement after a pause is written at once. Later ones wait for more, at most ACK_DELAY_US
 * or until they are 1/ACK_SHARE of the limit: each write costs the broker a round. */
enum { ACK_DELAY_US = 3000, ACK_SHARE = 4 };

static int64_t now_us(const struct bide_rmq_receiver *receiver)
{
    return bide_mono_us(receiver->settings->clock);
}

static struct bide_rmq_delivery *delivery_of(const struct bide_settlement *settlement)
{
    return (struct bide_rmq_delivery *)settlement->delivery;
}

static void mark_done(struct bide_rmq_receiver *receiver, const struct bide_rmq_delivery *delivery)
{
    BIDE_KILL_POINT("worker/rabbitmq-acknowledging");
    bide_rmq_tags_done(&bide_rmq_inbound_channel(&receiver->inbound, delivery)->tags, delivery->tag);
    if (receiver->ack_since_us == 0)
        receiver->ack_since_us = now_us(receiver);
}

static void end(const struct bide_settlement *settlement)
{
    bide_settlement_release(settlement);
    bide_rmq_delivery_destroy(delivery_of(settlement));
}

bool bide_rmq_receiver_publish(struct bide_rmq_receiver *receiver, const struct bide_settlement *settlement)
{
    struct bide_rmq_posting *posting = bide_rmq_posting_create(settlement);
    if (!posting) {
        bide_rmq_inbound_return(&receiver->inbound, delivery_of(settlement));
        end(settlement);
        return false;
    }
    receiver->n_postings++;
    receiver->has_handed = true;
    bide_rmq_courier_hand(receiver->courier, posting);
    return true;
}

/* Should a released delivery return to the queue it came from? Yes unless that is the landing queue and it is
 * due. If it is due and came from the landing queue, it is published to the work queue, where any worker
 * takes it. */
static bool goes_back(const struct bide_rmq_receiver *receiver, const struct bide_rmq_delivery *delivery)
{
    return delivery->part != BIDE_RMQ_LANDING ||
           delivery->base.message->due_ms > bide_wall_ms(receiver->settings->clock);
}

static void settle_one(struct bide_rmq_receiver *receiver, const struct bide_settlement *settlement)
{
    struct bide_rmq_delivery *delivery = delivery_of(settlement);
    bool ends_here = settlement->verdict == BIDE_VERDICT_ACK && settlement->n_sends == 0;
    if (ends_here)
        bide_rmq_acked_note(&receiver->acked, delivery);
    if (!bide_rmq_inbound_is_current(&receiver->inbound, delivery)) {
        receiver->n_lost++;
        end(settlement);
    } else if (ends_here) {
        mark_done(receiver, delivery);
        end(settlement);
    } else if (settlement->verdict == BIDE_VERDICT_RELEASE && goes_back(receiver, delivery)) {
        bide_rmq_inbound_return(&receiver->inbound, delivery);
        end(settlement);
    } else {
        bide_rmq_receiver_publish(receiver, settlement);
    }
}

void bide_rmq_receiver_settle(struct bide_receiver *base, const struct bide_settlement *settlements, size_t n)
{
    struct bide_rmq_receiver *receiver = (struct bide_rmq_receiver *)base;
    for (size_t i = 0; i < n; i++)
        settle_one(receiver, &settlements[i]);
    if (receiver->has_handed)
        bide_rmq_courier_wake(receiver->courier);
    receiver->has_handed = false;
}

void bide_rmq_receiver_collect(struct bide_rmq_receiver *receiver)
{
    struct bide_rmq_posting *posting = bide_rmq_courier_take(receiver->courier);
    for (struct bide_rmq_posting *next; posting; posting = next) {
        next = posting->next;
        BIDE_BUG(receiver->n_postings == 0);
        receiver->n_postings--;
        bool is_current = bide_rmq_inbound_is_current(&receiver->inbound, posting->delivery);
        receiver->n_lost += posting->given_up || !is_current;
        if (posting->delivery->is_early)
            bide_rmq_early_ended(receiver, posting->delivery);
        if (posting->settlement.verdict == BIDE_VERDICT_ACK && !posting->given_up)
            bide_rmq_acked_note(&receiver->acked, posting->delivery);
        if (is_current && posting->given_up) /* otherwise it stays in hand as long as this connection lasts */
            bide_rmq_inbound_return(&receiver->inbound, posting->delivery);
        else if (is_current)
            mark_done(receiver, posting->delivery);
        bide_rmq_posting_destroy(posting);
    }
}

/* Are there enough acknowledgements for one write? */
static bool is_worth_it(const struct bide_rmq_receiver *receiver)
{
    bool rested = now_us(receiver) - receiver->acked_us >= ACK_DELAY_US;
    for (size_t i = 0; i < receiver->inbound.n_channels; i++) {
        const struct bide_rmq_channel *channel = &receiver->inbound.channels[i];
        const struct bide_rmq_tags *tags = &channel->tags;
        if (tags->n_done && ((rested && tags->n_out == 0) || tags->n_done * ACK_SHARE >= channel->limit))
            return true;
    }
    return false;
}

bide_code bide_rmq_receiver_acknowledge(struct bide_rmq_receiver *receiver, bide_error *error)
{
    bool is_due =
        receiver->ack_since_us && (is_worth_it(receiver) || bide_rmq_receiver_ack_wait_us(receiver) == 0);
    if (!is_due && bide_rmq_wire_waiting(&receiver->inbound.wire) == 0)
        return BIDE_OK;
    receiver->ack_since_us = 0;
    receiver->acked_us = now_us(receiver);
    return bide_rmq_inbound_flush(&receiver->inbound, error);
}

int64_t bide_rmq_receiver_ack_wait_us(const struct bide_rmq_receiver *receiver)
{
    if (receiver->ack_since_us == 0)
        return -1;
    int64_t left = receiver->ack_since_us + ACK_DELAY_US - now_us(receiver);
    return left > 0 ? left : 0;
}

size_t bide_rmq_receiver_unsettled(const struct bide_rmq_receiver *receiver)
{
    /* While stopping, stuck postings count as unsettled, so that they are tried as long as the user waits: if
     * they are given up, the run is repeated with the same attempt. */
    size_t stuck = receiver->stopping ? 0 : bide_rmq_courier_all_stuck(receiver->courier);
    size_t n = receiver->n_postings - (stuck < receiver->n_postings ? stuck : receiver->n_postings);
    n += receiver->inbound.n_returned;
    for (size_t i = 0; i < receiver->inbound.n_channels; i++)
        n += receiver->inbound.channels[i].tags.n_done;
    return n;
}
