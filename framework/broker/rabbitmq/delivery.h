/* broker/rabbitmq/delivery.h: a message from the broker, with all that is needed to settle it or publish it
 * again.
 *
 * Ownership: the intake thread makes it; the user owns it until it is settled, then the receiver. While the
 * courier thread publishes it, the receiver lends it to that thread. One thread at a time. */
#ifndef BIDE_BROKER_RABBITMQ_DELIVERY_H
#define BIDE_BROKER_RABBITMQ_DELIVERY_H

#include "broker/rabbitmq/envelope/envelope.h"
#include "broker/rabbitmq/settings.h"

struct bide_rmq_delivery {
    struct bide_delivery base;
    struct bide_rmq_delivery *next; /* next in the list that holds it */
    uint64_t tag;
    uint32_t generation;     /* of the channel it arrived on: its tag is not valid in another generation */
    enum bide_rmq_part part; /* the queue by which it came */
    unsigned consumer;       /* tag of the consumer by which it came */
    bool is_redelivered;     /* the broker has handed it out before */
    bool is_early;           /* it goes to its due time; the user does not see it (early.c) */
    size_t *in_flight;       /* the counter of bytes from which its `charge` is subtracted in the end */
    size_t charge;
    uint64_t cut;          /* the body's size where only its beginning was kept; else 0 */
    struct bide_slice raw; /* the encoded properties as received; memory behind this struct */
};

/* Makes a delivery from decoded properties and a body. If only a part of the body was kept, `cut` is the
 * whole size, else 0. NULL without memory. */
struct bide_rmq_delivery *bide_rmq_delivery_create(const struct bide_rmq_settings *settings, size_t channel,
    const amqp_frame_t *head, amqp_bytes_t body, uint64_t cut, struct bide_rmq_scratch *scratch);
void bide_rmq_delivery_destroy(struct bide_rmq_delivery *delivery);

/* The number of the channel it arrived on. */
static inline size_t bide_rmq_delivery_channel(const struct bide_rmq_delivery *delivery)
{
    return BIDE_RMQ_PARTS * delivery->base.queue + delivery->part;
}

#endif
