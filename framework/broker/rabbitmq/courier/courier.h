/* broker/rabbitmq/courier/courier.h: a thread with a connection of its own that publishes for settlements:
 * retries, dead letters, follow-up messages, and messages that must be held (again).
 *
 * The broker may keep the courier waiting (an alarm); nobody else waits then. Who has a posting when:
 *
 *   intake thread   bide_rmq_courier_hand   the posting, with its delivery, goes to the courier
 *   courier thread  publishes until the broker has confirmed every item (over reconnects too)
 *   intake thread   bide_rmq_courier_take   the posting comes back, done or given up; the delivery can now be
 *                                           acknowledged, or is left to the broker
 *
 * If the broker denies an item (a permission was taken away, an exchange cannot be declared, the message is
 * too large), the courier publishes it alone from then on. So it neither delays other items nor makes the
 * courier publish them twice. It stays in hand and is tried again with growing pauses.
 *
 * If the connection of a posting's delivery is lost, the courier gives the posting up before it publishes it
 * (again): the broker hands the original out once more, and a copy would be a duplicate. */
#ifndef BIDE_BROKER_RABBITMQ_COURIER_COURIER_H
#define BIDE_BROKER_RABBITMQ_COURIER_COURIER_H

#include "base/wakeup.h"
#include "broker/rabbitmq/delivery.h"

struct bide_rmq_posting;

/* One message to be published. */
struct bide_rmq_item {
    struct bide_rmq_posting *posting;
    struct bide_rmq_item *next;
    const struct bide_message *send; /* a follow-up message, or NULL: the delivery itself */
    bool is_suspect;                 /* to be published alone */
};

struct bide_rmq_posting {
    struct bide_rmq_posting *next;
    struct bide_rmq_delivery *delivery; /* owned */
    struct bide_settlement settlement;  /* its error and sends are owned */
    size_t n_open;                      /* items that the broker has not confirmed */
    bool given_up;
    bool is_stuck; /* the broker has denied one of its items, which is tried again later */
    size_t n_items;
    struct bide_rmq_item items[];
};

struct bide_rmq_courier;

/* Connects, declares what is missing, starts the thread. `done` is signalled when a posting comes back. */
bide_code bide_rmq_courier_create(const struct bide_rmq_settings *settings, const struct bide_wakeup *done,
    struct bide_rmq_courier **ret_courier, bide_error *error);
/* Ends the thread (within the connect timeout) and frees its postings. */
void bide_rmq_courier_destroy(struct bide_rmq_courier *courier);

/* Makes a posting of a settlement (RETRY, DEAD with or without sends, RELEASE, or ACK with sends) and takes
 * the settlement over. NULL without memory; nothing was taken over then. Intake thread, as the following. */
struct bide_rmq_posting *bide_rmq_posting_create(const struct bide_settlement *settlement);
void bide_rmq_posting_destroy(struct bide_rmq_posting *posting);
void bide_rmq_courier_hand(struct bide_rmq_courier *courier, struct bide_rmq_posting *posting);
/* Wakes the thread for the postings handed to it; once for many. */
void bide_rmq_courier_wake(struct bide_rmq_courier *courier);
/* Has a posting come back, has one got stuck, or were consumers counted? Cheap. It becomes true after the
 * signal, so a caller that sees it can also drain the signal. */
bool bide_rmq_courier_has(const struct bide_rmq_courier *courier);
/* Returns all postings that came back, as a list. */
struct bide_rmq_posting *bide_rmq_courier_take(struct bide_rmq_courier *courier);
/* Is a message ready in the queue of an inbound channel? The courier asks
 * on its own connection, because the inbound one must not wait for answers. */
enum bide_rmq_look { BIDE_RMQ_NOT_ASKED, BIDE_RMQ_ASKED, BIDE_RMQ_EMPTY, BIDE_RMQ_SOMETHING };
void bide_rmq_courier_look(struct bide_rmq_courier *courier, size_t channel);
/* Returns the answer once; ASKED until there is one. */
enum bide_rmq_look bide_rmq_courier_seen(struct bide_rmq_courier *courier, size_t channel);
/* How many consumers has the queue of an inbound channel? 0: there is no such queue. The courier asks in the
 * same way, and signals `done` with each answer. */
enum { BIDE_RMQ_UNCOUNTED = -1 };
void bide_rmq_courier_count(struct bide_rmq_courier *courier, size_t channel);
/* The last answer; UNCOUNTED until there is one. */
int64_t bide_rmq_courier_counted(const struct bide_rmq_courier *courier, size_t channel);
/* Sets the generation of an inbound channel's present deliveries; 0: there are none. */
void bide_rmq_courier_set_generation(struct bide_rmq_courier *courier, size_t channel, uint32_t generation);
/* The channel's postings that are stuck. They do not count against the channel's limit. */
size_t bide_rmq_courier_stuck(const struct bide_rmq_courier *courier, size_t channel);
size_t bide_rmq_courier_all_stuck(const struct bide_rmq_courier *courier);
size_t bide_rmq_courier_stuck_bytes(const struct bide_rmq_courier *courier);

#endif
