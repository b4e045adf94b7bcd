#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "broker/redis/entry.h"
#include "broker/redis/receiver.h"

/* A command of the lost connection may be carried out after the first audit. */
enum { AUDIT_AGAIN_US = 10 * 1000 * 1000 };

/* ---- chains ---- */

void bide_redis_chain_init(struct bide_redis_chain *chain)
{
    *chain = (struct bide_redis_chain){.end = &chain->first};
}

void bide_redis_chain_add(struct bide_redis_chain *chain, struct bide_redis_delivery *delivery)
{
    delivery->next = NULL;
    *chain->end = delivery;
    chain->end = &delivery->next;
    chain->n++;
}

struct bide_redis_delivery *bide_redis_chain_take(struct bide_redis_chain *chain)
{
    struct bide_redis_delivery *delivery = chain->first;
    if (!delivery)
        return NULL;
    chain->first = delivery->next;
    if (!chain->first)
        chain->end = &chain->first;
    chain->n--;
    return delivery;
}

void bide_redis_chain_prepend(struct bide_redis_chain *chain, struct bide_redis_chain *front)
{
    if (!front->first)
        return;
    *front->end = chain->first;
    if (!chain->first)
        chain->end = front->end;
    chain->first = front->first;
    chain->n += front->n;
    bide_redis_chain_init(front);
}

/* ---- one delivery ---- */

void bide_redis_delivery_free(struct bide_redis_delivery *delivery)
{
    if (delivery->in_flight)
        *delivery->in_flight -= delivery->charge;
    if (delivery->all_link) {
        *delivery->all_link = delivery->all_next;
        if (delivery->all_next)
            delivery->all_next->all_link = delivery->all_link;
    }
    bide_message_destroy(delivery->base.message);
    bide_free(delivery);
}

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

static struct bide_redis_delivery *delivery_of_node(struct bide_heap_node *node)
{
    return (
        struct bide_redis_delivery *)(void *)((char *)node - offsetof(struct bide_redis_delivery, landing));
}

void bide_redis_delivery_uncount(struct bide_redis_receiver *receiver, struct bide_redis_delivery *delivery)
{
    if (delivery->incarnation != receiver->incarnation)
        return;
    struct bide_redis_queue *queue = &receiver->queues[delivery->base.queue];
    if (delivery->landing.place) {
        bide_heap_remove(&receiver->landing, &delivery->landing);
        queue->early--;
    } else {
        queue->in_hand--;
    }
}

void bide_redis_deliveries_land(struct bide_redis_receiver *receiver)
{
    int64_t now_us = bide_wall_us(receiver->settings->clock);
    struct bide_heap_node *node;
    while ((node = bide_heap_first(&receiver->landing)) && node->due_us <= now_us) {
        bide_heap_remove(&receiver->landing, node);
        struct bide_redis_queue *queue = &receiver->queues[delivery_of_node(node)->base.queue];
        queue->early--;
        queue->in_hand++;
        if (bide_redis_claims_early_room(queue) > queue->early)
            queue->claiming = bide_redis_claiming_after(queue->claiming, BIDE_REDIS_EARLY_ROOM);
    }
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

/* ---- replies ---- */

static void weigh(struct bide_redis_queue *queue, size_t size)
{
    queue->mean_size = queue->mean_size ? queue->mean_size - queue->mean_size / 8 + size / 8 : size;
}

bide_code bide_redis_deliveries_take_entries(struct bide_redis_receiver *receiver,
    struct bide_redis_queue *queue, const redisReply *entries, bide_error *error)
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

bide_code bide_redis_deliveries_take_tokens(struct bide_redis_receiver *receiver,
    struct bide_redis_queue *queue, const redisReply *tokens, bide_error *error)
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

static bide_code audit(
    struct bide_redis_receiver *receiver, struct bide_redis_queue *queue, bide_error *error)
{
    struct bide_redis_args *args = &receiver->args;
    bide_redis_receiver_begin_script(receiver, BIDE_REDIS_KEEP, queue);
    for (const struct bide_redis_delivery *delivery = receiver->all; delivery; delivery = delivery->all_next)
        if (delivery->incarnation == receiver->incarnation &&
            delivery->base.queue == (size_t)(queue - receiver->queues))
            bide_redis_args_text(args, delivery->source);
    bide_code code = bide_redis_link_append(receiver->links.work, args, error);
    if (code == BIDE_OK && !bide_redis_receiver_note(receiver, BIDE_REDIS_COMMAND_KEEP, queue))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    return code;
}

void bide_redis_deliveries_audit_in(
    const struct bide_redis_receiver *receiver, struct bide_redis_queue *queue, int64_t us)
{
    int64_t at_us = bide_mono_us(receiver->settings->clock) + us;
    if (queue->audits == 0 || at_us < queue->audit_us)
        queue->audit_us = at_us;
    queue->audits = queue->audits < 2 ? queue->audits + 1 : 2;
}

/* Not while a claim is under way: what it brings is not known yet, and would be taken back. */
bide_code bide_redis_deliveries_audit(struct bide_redis_receiver *receiver, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < receiver->n_queues; i++) {
        struct bide_redis_queue *queue = &receiver->queues[i];
        if (queue->audits == 0 || bide_redis_claiming_is_asked(queue->claiming))
            continue;
        int64_t now_us = bide_mono_us(receiver->settings->clock);
        if (now_us < queue->audit_us)
            continue;
        queue->audits--;
        queue->audit_us = now_us + AUDIT_AGAIN_US;
        code = audit(receiver, queue, error);
    }
    return code;
}

/* A run that goes on is let end; its settlement is then dropped. Where the settlement was sent already, the
 * server may have carried it out: that is why it is not this worker's any more. */
static void disown(struct bide_redis_receiver *receiver, size_t queue, const char *source)
{
    for (struct bide_redis_delivery *delivery = receiver->all; delivery; delivery = delivery->all_next) {
        if (delivery->incarnation != receiver->incarnation || delivery->base.queue != queue ||
            strcmp(delivery->source, source) != 0)
            continue;
        delivery->disowned = true;
        if (delivery->settlement.delivery)
            return;
        bide_redis_delivery_uncount(receiver, delivery);
        delivery->incarnation = receiver->incarnation - 1;
        return;
    }
}

void bide_redis_deliveries_audited(
    struct bide_redis_receiver *receiver, struct bide_redis_queue *queue, const redisReply *reply)
{
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        if (reply->element[i]->type == REDIS_REPLY_STRING)
            disown(receiver, (size_t)(queue - receiver->queues), reply->element[i]->str);
    bide_redis_settles_drop_disowned(receiver, queue);
    queue->audited = true;
}
