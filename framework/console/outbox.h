/* console/outbox.h: sends the messages of POST /send: one producer, many requests in one commit.
 *
 * A request lends its rows and waits until all of them are settled. The thread of the first request leads: it
 * sends rounds of waiting rows, of its own request and of others, until its own is settled; then it wakes the
 * next thread to lead. So a request that is alone waits for no other thread. Each round takes the waiting
 * rows in the order of their arrival, at most BIDE_OUTBOX_BATCH messages; a request with more rows goes
 * behind the others. After a failure of the broker, the remaining rows of the requests in that batch are not
 * sent.
 *
 * The memory of all requests is bounded by a budget in bytes, which they reserve before they grow.
 * Thread-safety: the console's main thread starts and stops; all other calls: any thread. */
#ifndef BIDE_CONSOLE_OUTBOX_H
#define BIDE_CONSOLE_OUTBOX_H

#include <pthread.h>
#include <stdatomic.h>

#include "bide/producer.h"
#include "config/config.h"

enum { BIDE_OUTBOX_BATCH = 1000 };

struct bide_outbox_row {
    bide_message *message; /* belongs to the request */
    size_t line;           /* counted from 1 within the request */
    bide_sent result;
    char *why; /* why it was refused, else NULL; the request frees it */
};

/* One request. */
struct bide_outbox_request {
    struct bide_outbox_row *rows;
    size_t n;
    bide_error error; /* if some rows are not confirmed: why */

    size_t taken, settled; /* from here on: the outbox's, under its lock */
    bool failed, done;
    pthread_cond_t turn; /* the request is done, or its thread may lead */
    struct bide_outbox_request *next;
};

struct bide_outbox_batch;

struct bide_outbox {
    const struct bide_config *config;
    _Atomic uint64_t *sent; /* counter of confirmed messages */
    pthread_mutex_t lock;
    struct bide_outbox_request *first, *last;
    size_t bytes, budget, longest; /* longest: of one request */
    bool is_led;
    /* the members below belong to the leading thread */
    struct bide_outbox_batch *batch;
    bide_producer *producer; /* the first batch opens it */
};

bide_code bide_outbox_start(
    struct bide_outbox *outbox, const struct bide_config *config, _Atomic uint64_t *sent, bide_error *error);
/* Called after the last request has returned. Does nothing if it was not started. */
void bide_outbox_stop(struct bide_outbox *outbox);

/* False if too many bytes are reserved already. */
bool bide_outbox_reserve(struct bide_outbox *outbox, size_t bytes);
void bide_outbox_release(struct bide_outbox *outbox, size_t bytes);

/* Returns when the result of each row is known. The caller sets rows and n; all else is zero. */
void bide_outbox_send(struct bide_outbox *outbox, struct bide_outbox_request *request);

#endif
