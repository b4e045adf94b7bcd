#include "broker/redis/receiver.h"

#include <string.h>

/* A command of the lost connection may be carried out after the first audit. */
enum { AUDIT_AGAIN_US = 10 * 1000 * 1000 };

void bide_redis_audit_in(
    const struct bide_redis_receiver *receiver, struct bide_redis_queue *queue, int64_t us)
{
    int64_t at_us = bide_mono_us(receiver->settings->clock) + us;
    if (queue->audits == 0 || at_us < queue->audit_us)
        queue->audit_us = at_us;
    queue->audits = queue->audits < 2 ? queue->audits + 1 : 2;
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

/* Not while a claim is under way: what it brings is not known yet, and would be taken back. */
bide_code bide_redis_audit_send(struct bide_redis_receiver *receiver, bide_error *error)
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

void bide_redis_audit_answer(
    struct bide_redis_receiver *receiver, struct bide_redis_queue *queue, const redisReply *reply)
{
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        if (reply->element[i]->type == REDIS_REPLY_STRING)
            disown(receiver, (size_t)(queue - receiver->queues), reply->element[i]->str);
    queue->audited = true;
}
