/* Deliveries that were read but not handed out. */
#include "broker/rabbitmq/receiver.h"

void bide_rmq_receiver_add_ready(struct bide_rmq_receiver *receiver, struct bide_rmq_delivery *delivery)
{
    delivery->next = NULL;
    *receiver->ready_end = delivery;
    receiver->ready_end = &delivery->next;
}

struct bide_rmq_delivery *bide_rmq_receiver_take_ready(struct bide_rmq_receiver *receiver)
{
    struct bide_rmq_delivery *delivery = receiver->ready;
    if (!delivery)
        return NULL;
    receiver->ready = delivery->next;
    if (!receiver->ready)
        receiver->ready_end = &receiver->ready;
    return delivery;
}

void bide_rmq_receiver_return_ready(struct bide_rmq_receiver *receiver)
{
    for (struct bide_rmq_delivery *delivery; (delivery = bide_rmq_receiver_take_ready(receiver));) {
        if (bide_rmq_inbound_is_current(&receiver->inbound, delivery))
            bide_rmq_inbound_return(&receiver->inbound, delivery);
        bide_rmq_delivery_destroy(delivery);
    }
}

void bide_rmq_receiver_drop_stale(struct bide_rmq_receiver *receiver)
{
    struct bide_rmq_delivery *delivery = receiver->ready;
    receiver->ready = NULL;
    receiver->ready_end = &receiver->ready;
    for (struct bide_rmq_delivery *next; delivery; delivery = next) {
        next = delivery->next;
        if (bide_rmq_inbound_is_current(&receiver->inbound, delivery))
            bide_rmq_receiver_add_ready(receiver, delivery);
        else
            bide_rmq_delivery_destroy(delivery);
    }
}
