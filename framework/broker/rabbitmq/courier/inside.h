/* broker/rabbitmq/courier/inside.h: the courier's struct and its lists, for this folder. The comments of the
 * members say which thread may use them. */
#ifndef BIDE_BROKER_RABBITMQ_COURIER_INSIDE_H
#define BIDE_BROKER_RABBITMQ_COURIER_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/rabbitmq/courier/courier.h"
#include "broker/rabbitmq/publisher.h"
#include "broker/reconnect.h"

struct list {
    struct bide_rmq_posting *first, **end;
};

struct items {
    struct bide_rmq_item *first, **end;
};

struct bide_rmq_courier {
    const struct bide_rmq_settings *settings;
    const struct bide_wakeup *done;
    struct bide_wakeup wakeup; /* signalled for postings in the inbox, and for the end */
    pthread_t thread;
    atomic_bool ending;
    atomic_bool has_outbox;
    _Atomic uint32_t changes; /* counts changes of generations */
    _Atomic size_t n_stuck;   /* stuck postings of all channels, and the bytes of their bodies: */
    _Atomic size_t stuck_bytes;
    pthread_mutex_t lock; /* for inbox and outbox */
    struct shared {
        _Atomic uint32_t generation;
        _Atomic size_t stuck;
        _Atomic int look; /* enum bide_rmq_look */
        _Atomic int64_t consumers;
    } * channels;
    struct list inbox, outbox;
    /* the members below belong to the courier thread */
    struct bide_rmq_publisher publisher;
    struct bide_reconnect reconnect;
    struct items waiting;  /* to be published */
    struct items suspects; /* to be published one by one, before the others */
    struct items denied;   /* become suspects again when `denials` says so */
    bool is_alone;         /* one suspect is in flight, and nothing else */
    struct bide_reconnect denials;
    struct list finished;
    uint32_t changes_seen;
    int64_t pause_until_us;   /* no item is published before: the broker refused one */
    int64_t declare_since_us; /* since when a queue is missing; 0: none is */
    size_t asking;            /* the channel whose queue was asked about */
};

static inline void list_init(struct list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static inline void list_add(struct list *list, struct bide_rmq_posting *posting)
{
    posting->next = NULL;
    *list->end = posting;
    list->end = &posting->next;
}

static inline struct bide_rmq_posting *list_take(struct list *list)
{
    struct bide_rmq_posting *first = list->first;
    list_init(list);
    return first;
}

/* ---- parcel.c ---- */

/* Turns a posting's item into an AMQP message with its address. Courier thread. */

/* Puts the item into the publisher. BIDE_E_DATA: it can never be published. */
bide_code bide_rmq_parcel_put(
    struct bide_rmq_publisher *publisher, struct bide_rmq_item *item, bide_error *error);

#endif
