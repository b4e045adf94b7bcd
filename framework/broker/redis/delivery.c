#include "broker/redis/receiver.h"

#include "base/alloc.h"

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
