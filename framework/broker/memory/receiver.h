/* broker/memory/receiver.h: a receiver of the broker in memory. For simulations it can lose its connection.
 * Threads as in broker/broker.h. */
#ifndef BIDE_BROKER_MEMORY_RECEIVER_H
#define BIDE_BROKER_MEMORY_RECEIVER_H

#include "broker/memory/store.h"

struct bide_memory_served {
    struct bide_memory_queue *queue;
    size_t limit;
    size_t due;   /* in the user's hands, and due: count toward the limit */
    size_t early; /* … and not due yet: as many again, so that a limit of 1 is not passed by thousands */
};

struct bide_memory_receiver {
    struct bide_receiver base;
    TAILQ_ENTRY(bide_memory_receiver) link; /* in the store's */
    struct bide_memory_store *store;
    const struct bide_clock *clock;
    struct bide_wakeup wakeup;
    size_t max_in_flight;
    int64_t in_flight; /* bytes of bodies in the user's hands */
    size_t max_body;
    struct bide_memory_served *served; /* by the options' order */
    size_t n_served;
    struct bide_memory_rows held;
    bool stopped;
    struct bide_receiver_stats stats;
};

/* The connection is lost, or back: what is in the user's hands goes to others, and its settlements will be
 * lost. */
void bide_memory_set_connected(struct bide_receiver *base, bool connected);

#endif
