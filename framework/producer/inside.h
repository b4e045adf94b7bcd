/* producer/inside.h: what the files of the producer share. Under the producer's lock. */
#ifndef BIDE_PRODUCER_INSIDE_H
#define BIDE_PRODUCER_INSIDE_H

#include <pthread.h>
#include <stdbool.h>

#include "bide/producer.h"
#include "broker/broker.h"
#include "store/store.h"

struct bide_producer {
    pthread_mutex_t lock; /* held while sending: a sender is used by one thread at a time */
    struct bide_sender *sender;
    const struct bide_clock *clock;
    char default_queue[BIDE_NAME_MAX + 1];
    size_t max_body;
    int64_t timeout_ms;

    struct bide_store *store; /* for unique messages. NULL: there is none, … */
    bide_error no_store;      /* … because of this */
};

/* ---- sending.c ---- */

/* Refuses a body that is too large, and fixes what the sender left open. */
bide_code bide_producer_prepare(
    const struct bide_producer *producer, bide_message *message, bide_error *error);
/* Sends the n messages that begin at `messages`. before: BIDE_OK, or BIDE_E_DATA with the first refusal in
 * *error. Keeps that refusal, unless the broker fails: that is worse, because good messages do not arrive
 * either. */
bide_code bide_producer_send_run(struct bide_producer *producer, bide_message *const *messages, size_t n,
    bide_sent *results, bide_code before, bide_error *error);

/* Messages without a unique key. A message that the producer refuses splits the batch; the messages before
 * and behind it are still sent. After a failure of the broker nothing more is tried. */
bide_code bide_producer_send_plain(struct bide_producer *producer, bide_message *const *messages, size_t n,
    bide_sent *results, bide_error *error);

/* ---- unique.c: messages with a unique key ---- */

bool bide_producer_has_unique(bide_message *const *messages, size_t n);
/* As bide_producer_send_many; others may be among them. */
bide_code bide_producer_send_unique(struct bide_producer *producer, bide_message *const *messages, size_t n,
    bide_sent *results, bide_error *error);

#endif
