/* console/outbox.h: sends what the requests to POST /send bring: one producer, many requests in one commit.
 *
 * A request lends its rows and stays until the last of them is settled. The first thread that comes leads: it
 * sends a round of what waits, its own and others', until its own is settled; then it wakes the next to lead.
 * So nobody waits for a thread to wake where nobody else sends. Each round takes what waits, in the order it
 * came, at most BIDE_OUTBOX_BATCH messages; a request that has more goes behind the others. After a failure
 * of the broker, what is left of a request that it touched is not sent.
 *
 * What requests have in memory is bounded by a budget in bytes, which they reserve before they grow.
 * Thread-safety: start and stop by the console's main thread, everything else by any. */
#ifndef BIDE_CONSOLE_OUTBOX_H
#define BIDE_CONSOLE_OUTBOX_H

#include <pthread.h>
#include <stdatomic.h>

#include "bide/producer.h"
#include "config/config.h"

enum { BIDE_OUTBOX_BATCH = 1000 };

struct bide_outbox_row {
    bide_message *message; /* the request's */
    size_t line;           /* 1: the first of the request */
    bide_sent result;
    char *why; /* of a refusal, else NULL; the request's to free */
};

/* One request. */
struct bide_outbox_request {
    struct bide_outbox_row *rows;
    size_t n;
    bide_error error; /* where some are not confirmed: why */

    size_t taken, settled; /* from here on: the outbox's, under its lock */
    bool failed, done;
    pthread_cond_t turn; /* it is done, or may lead */
    struct bide_outbox_request *next;
};

struct bide_outbox_batch;

struct bide_outbox {
    const struct bide_config *config;
    _Atomic uint64_t *sent; /* counts the confirmed */
    pthread_mutex_t lock;
    struct bide_outbox_request *first, *last;
    size_t bytes, budget, longest; /* longest: of one request */
    bool is_led;
    /* the leader's */
    struct bide_outbox_batch *batch;
    bide_producer *producer; /* opened by the first batch */
};

bide_code bide_outbox_start(
    struct bide_outbox *outbox, const struct bide_config *config, _Atomic uint64_t *sent, bide_error *error);
/* After the last request has returned. Not started: nothing. */
void bide_outbox_stop(struct bide_outbox *outbox);

/* False: too much waits already. */
bool bide_outbox_reserve(struct bide_outbox *outbox, size_t bytes);
void bide_outbox_release(struct bide_outbox *outbox, size_t bytes);

/* Returns when the result of each row is known. rows, n: set by the caller, the rest zero. */
void bide_outbox_send(struct bide_outbox *outbox, struct bide_outbox_request *request);

#endif
