#include "broker/redis/receiver.h"

#include <stdio.h>

#include "base/alloc.h"
#include "broker/redis/entry.h"

static void enlist(struct bide_redis_receiver *receiver, struct bide_redis_delivery *delivery)
{
    delivery->in_flight = &receiver->in_flight;
    delivery->charge = delivery->base.message->body_size;
    receiver->in_flight += delivery->charge;
    delivery->all_next = receiver->all;
    delivery->all_link = &receiver->all;
    if (receiver->all)
        receiver->all->all_link = &delivery->all_next;
    receiver->all = delivery;
}

/* An early one has a place of its own in the count until it is due. Without memory for that it counts at
 * once. */
static void count(struct bide_redis_receiver *receiver, struct bide_redis_delivery *delivery, int64_t now_ms)
{
    delivery->landing.due_us = delivery->base.message->due_ms * 1000;
    struct bide_redis_queue *queue = &receiver->queues[delivery->base.queue];
    if (delivery->base.message->due_ms <= now_ms || !bide_heap_insert(&receiver->landing, &delivery->landing))
        queue->in_hand++;
    else
        queue->early++;
}

static void judge(struct bide_redis_receiver *receiver, struct bide_redis_delivery *delivery)
{
    if (receiver->wire.defect) {
        delivery->base.defect = BIDE_REASON_MALFORMED;
        delivery->base.defect_text = receiver->wire.defect;
    } else if (receiver->settings->max_body &&
               receiver->wire.parts.body.size > receiver->settings->max_body) {
        delivery->base.defect = BIDE_REASON_OVERSIZED;
        delivery->base.defect_text = "the body is larger than max_body";
        receiver->wire.parts.body.size = 0; /* it stays in Redis and goes to the dead letters from there */
    }
}

/* What a foreign producer put into the stream with a due time far off: back to be held until then. */
static bool is_far(const struct bide_redis_delivery *delivery, int64_t now_ms)
{
    return delivery->base.defect == BIDE_REASON_NONE &&
           delivery->base.message->due_ms > now_ms + BIDE_LANDING_MS;
}

static bide_code deliver(struct bide_redis_receiver *receiver, struct bide_redis_queue *queue,
    const char *source, bool token, int64_t now_ms, bide_error *error)
{
    struct bide_redis_delivery *delivery = bide_calloc(1, sizeof *delivery);
    if (!delivery)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    struct bide_message_parts *parts = &receiver->wire.parts;
    bide_redis_wire_complete(&receiver->wire, queue->name, source, now_ms);
    judge(receiver, delivery);
    delivery->base.message = bide_message_from_parts(parts);
    if (!delivery->base.message) {
        bide_free(delivery);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    delivery->base.queue = (size_t)(queue - receiver->queues);
    delivery->incarnation = receiver->incarnation;
    snprintf(delivery->source, sizeof delivery->source, "%s", source);
    enlist(receiver, delivery);
    count(receiver, delivery, now_ms);
    if (!token && is_far(delivery, now_ms))
        bide_redis_settles_add(receiver, &(struct bide_settlement){.delivery = &delivery->base,
                                             .verdict = BIDE_VERDICT_RETRY,
                                             .attempt = delivery->base.message->attempt,
                                             .due_ms = delivery->base.message->due_ms});
    else
        bide_redis_chain_add(&receiver->ready, delivery);
    return BIDE_OK;
}

static void weigh(struct bide_redis_queue *queue, size_t size)
{
    queue->mean_size = queue->mean_size ? queue->mean_size - queue->mean_size / 8 + size / 8 : size;
}

bide_code bide_redis_arrivals_entries(struct bide_redis_receiver *receiver, struct bide_redis_queue *queue,
    const redisReply *entries, bide_error *error)
{
    int64_t now_ms = bide_wall_ms(receiver->settings->clock);
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        size_t size;
        if (!bide_redis_entry_read(&receiver->wire, entry, &size))
            continue;
        weigh(queue, size);
        code = deliver(receiver, queue, entry->element[0]->str, false, now_ms, error);
    }
    return code;
}

bide_code bide_redis_arrivals_tokens(struct bide_redis_receiver *receiver, struct bide_redis_queue *queue,
    const redisReply *tokens, bide_error *error)
{
    int64_t now_ms = bide_wall_ms(receiver->settings->clock);
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i + 2 < tokens->elements; i += 3) {
        redisReply *text = tokens->element[i + 2];
        if (!bide_redis_held_read(&receiver->wire, tokens->element[i], tokens->element[i + 1], text))
            continue;
        weigh(queue, text->len);
        code = deliver(receiver, queue, tokens->element[i]->str, true, now_ms, error);
    }
    return code;
}
