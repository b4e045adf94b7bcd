/* broker/rabbitmq/courier/courier.h: a thread with a connection of its own that publishes what settlements
 * ask for: retries, dead letters, follow-up messages, and messages that have to be held (again).
 *
 * It may be kept waiting by the broker (an alarm) without keeping anybody else waiting. Who has a posting
 * when:
 *
 *   intake thread   bide_rmq_courier_hand   the posting, with its delivery, goes to the courier
 *   courier thread  publishes until the broker has confirmed every item (over reconnects too)
 *   intake thread   bide_rmq_courier_take   the posting comes back, done or given up; the delivery can now be
 *                                           acknowledged, or is left to the broker
 *
 * What the broker denies (a right was taken away, an exchange cannot be declared, it is too large) is
 * published alone from then on, so that nothing else is held up or published twice because of it; it stays in
 * hand and is tried again with growing pauses.
 *
 * A posting whose delivery belongs to a lost connection is given up before it is published (again): the
 * broker hands the original out once more, and a copy would make two. */
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
    size_t n_open;                      /* items without confirm */
    bool given_up;
    bool is_stuck; /* the broker has denied one of its items, which waits and is tried again */
    size_t n_items;
    struct bide_rmq_item items[];
};

struct bide_rmq_courier;

/* Connects, declares what is missing, starts the thread. `done` is signalled when a posting comes back. */
bide_code bide_rmq_courier_create(const struct bide_rmq_settings *settings, const struct bide_wakeup *done,
    struct bide_rmq_courier **ret_courier, bide_error *error);
/* Ends the thread (within the connect timeout) and frees the postings it still had. */
void bide_rmq_courier_destroy(struct bide_rmq_courier *courier);

/* A posting for a settlement (RETRY, DEAD with or without sends, RELEASE, or ACK with sends), which it takes
 * over. NULL where there is no memory: nothing was taken over. Intake thread, as the following. */
struct bide_rmq_posting *bide_rmq_posting_create(const struct bide_settlement *settlement);
void bide_rmq_posting_destroy(struct bide_rmq_posting *posting);
void bide_rmq_courier_hand(struct bide_rmq_courier *courier, struct bide_rmq_posting *posting);
/* Lets the thread know of what was handed; once for many. */
void bide_rmq_courier_wake(struct bide_rmq_courier *courier);
/* Whether something came back, or got stuck. Costs nothing; set after the signal, so that who sees it can
 * drain that. */
bool bide_rmq_courier_has(const struct bide_rmq_courier *courier);
/* All that came back, as a list. */
struct bide_rmq_posting *bide_rmq_courier_take(struct bide_rmq_courier *courier);
/* Questions about the inbound channels (work and landing by turns): is something ready in that queue? Asked
 * on the courier's connection, because the inbound one must not wait for answers. */
enum bide_rmq_look { BIDE_RMQ_NOT_ASKED, BIDE_RMQ_ASKED, BIDE_RMQ_EMPTY, BIDE_RMQ_SOMETHING };
void bide_rmq_courier_look(struct bide_rmq_courier *courier, size_t channel);
/* The answer, once; ASKED while there is none yet. */
enum bide_rmq_look bide_rmq_courier_seen(struct bide_rmq_courier *courier, size_t channel);
/* Of the inbound channels: that of what it delivers now; 0: none. */
void bide_rmq_courier_set_generation(struct bide_rmq_courier *courier, size_t channel, uint32_t generation);
/* Jobs of a channel that are stuck: they wait in hand without counting against the channel's limit. */
size_t bide_rmq_courier_stuck(const struct bide_rmq_courier *courier, size_t channel);
size_t bide_rmq_courier_all_stuck(const struct bide_rmq_courier *courier);
size_t bide_rmq_courier_stuck_bytes(const struct bide_rmq_courier *courier);

#endif
