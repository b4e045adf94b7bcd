/* broker/rabbitmq/acked.h: the deliveries that this receiver has acknowledged lately, or would have if their
 * connection had lasted. AMQP confirms no acknowledgement, so the broker may hand such a message out again
 * after a connection was lost; then it is recognised and need not run twice.
 *
 * A delivery is known by its channel, and the message's id, attempt, time of sending and body (the first
 * BODY_MAX bytes). So another message with the same id, and a dead letter that was replayed, are not mistaken
 * for it. Only a redelivered message that comes in another generation of the channel is looked for, and each
 * entry is found once.
 *
 * Thread-safety: the intake thread's. A zeroed struct is empty. */
#ifndef BIDE_BROKER_RABBITMQ_ACKED_H
#define BIDE_BROKER_RABBITMQ_ACKED_H

#include "broker/rabbitmq/delivery.h"

enum { BIDE_RMQ_ACKED = 4096 };

struct bide_rmq_acked {
    struct bide_rmq_acked_entry {
        uint64_t mark; /* 0: none */
        uint32_t generation;
    } entries[BIDE_RMQ_ACKED];
    unsigned next; /* the oldest one, which is overwritten next */
};

/* It ended done. */
void bide_rmq_acked_note(struct bide_rmq_acked *acked, const struct bide_rmq_delivery *delivery);
/* Of a redelivered message: had it ended done before? */
bool bide_rmq_acked_find(struct bide_rmq_acked *acked, const struct bide_rmq_delivery *delivery);

#endif
