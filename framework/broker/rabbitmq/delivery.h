/* broker/rabbitmq/delivery.h: a message from the broker, with what it takes to settle it or publish it again.
 *
 * Ownership: made by the intake thread; then the user's until settled; then the receiver's, which lends it to
 * the courier thread for as long as that publishes. One thread at a time. */
#ifndef BIDE_BROKER_RABBITMQ_DELIVERY_H
#define BIDE_BROKER_RABBITMQ_DELIVERY_H

#include "broker/rabbitmq/envelope/envelope.h"
#include "broker/rabbitmq/settings.h"

struct bide_rmq_delivery {
    struct bide_delivery base;
    struct bide_rmq_delivery *next; /* in whichever list it is */
    uint64_t tag;
    uint32_t generation; /* of the connection it arrived on: tags mean nothing on another */
    bool landing;        /* it came by the landing queue */
    size_t *in_flight;   /* whose share of the budget it gives back, and: */
    size_t charge;
    uint64_t cut;          /* the body's size where only its beginning was kept; else 0 */
    struct bide_slice raw; /* the properties as they came; behind this struct */
};

/* A delivery from decoded properties and a whole body (or what was kept of it; then `cut` is its size). NULL
 * where there is no memory. */
struct bide_rmq_delivery *bide_rmq_delivery_create(const struct bide_rmq_settings *settings, size_t queue,
    const amqp_frame_t *head, amqp_bytes_t body, uint64_t cut, struct bide_rmq_scratch *scratch);
void bide_rmq_delivery_destroy(struct bide_rmq_delivery *delivery);

/* Of the consuming connection's channels, which stand in pairs, work and landing, the one it arrived on. */
static inline size_t bide_rmq_delivery_channel(const struct bide_rmq_delivery *delivery)
{
    return 2 * delivery->base.queue + delivery->landing;
}

#endif
