#include "console/outbox.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "producer/configured.h"
#include "shared/metrics.h"

enum {
    REQUEST_BYTES = 16 * 1024 * 1024, /* of one request; more where one body may be larger */
    REQUESTS = 4,                     /* of the largest size, at once */
};

/* One round: what is sent in one commit. The thread's own. */
struct batch {
    size_t n;
    bide_message *messages[BIDE_OUTBOX_BATCH];
    bide_sent results[BIDE_OUTBOX_BATCH];
    struct bide_outbox_row *rows[BIDE_OUTBOX_BATCH];
    struct bide_outbox_request *owners[BIDE_OUTBOX_BATCH];
};

/* ---- the queue of requests: under the lock ---- */

static void push(struct bide_outbox *outbox, struct bide_outbox_request *request)
{
    request->next = NULL;
    if (outbox->last)
        outbox->last->next = request;
    else
        outbox->first = request;
    outbox->last = request;
}

static struct bide_outbox_request *pop(struct bide_outbox *outbox)
{
    struct bide_outbox_request *request = outbox->first;
    outbox->first = request->next;
    if (!outbox->first)
        outbox->last = NULL;
    return request;
}

/* The request is its thread's again once the lock is released. */
static void finish(struct bide_outbox_request *request)
{
    request->done = true;
    pthread_cond_signal(&request->is_done);
}

static void take(struct batch *batch, struct bide_outbox_request *request)
{
    for (; batch->n < BIDE_OUTBOX_BATCH && request->taken < request->n; batch->n++, request->taken++) {
        struct bide_outbox_row *row = &request->rows[request->taken];
        batch->rows[batch->n] = row;
        batch->owners[batch->n] = request;
        batch->messages[batch->n] = row->message;
        batch->results[batch->n] = BIDE_SENT_UNKNOWN;
    }
}

static void gather(struct bide_outbox *outbox, struct batch *batch)
{
    batch->n = 0;
    while (batch->n < BIDE_OUTBOX_BATCH && outbox->first) {
        struct bide_outbox_request *request = pop(outbox);
        if (request->failed) {
            finish(request); /* the rest of it stays unsent */
            continue;
        }
        take(batch, request);
        if (request->taken < request->n) {
            push(outbox, request);
            return;
        }
    }
}

static void settle(struct batch *batch, bide_code code, const bide_error *error)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct bide_outbox_request *owner = batch->owners[i];
        batch->rows[i]->result = batch->results[i];
        if (batch->results[i] == BIDE_SENT_UNKNOWN && !owner->failed) {
            owner->failed = true;
            bide_fail(&owner->error, code, "%s", error->text);
        }
        if (++owner->settled == owner->n)
            finish(owner);
    }
}

/* ---- sending ---- */

static bide_code send_batch(struct bide_outbox *outbox, struct batch *batch, bide_error *error)
{
    if (!outbox->producer) {
        bide_code code = bide_producer_open_configured(outbox->config, &outbox->producer, error);
        if (code != BIDE_OK)
            return code;
    }
    return bide_producer_send_many(outbox->producer, batch->messages, batch->n, batch->results, error);
}

/* The producer tells why it refused the first of a batch. Asking again tells it of another one (and sends
 * that, if nothing is wrong with it any more). Where the broker fails at that, this one may be there or not,
 * and nobody else is asked: *code and *error are then that failure. */
static void ask_again(struct bide_outbox *outbox, struct batch *batch, size_t i, bide_code *code,
    bide_error *error, bide_error *ret_why)
{
    bide_code again = bide_producer_send(outbox->producer, batch->messages[i], ret_why);
    if (again == BIDE_OK) {
        batch->results[i] = BIDE_SENT_OK;
    } else if (again != BIDE_E_DATA) {
        batch->results[i] = BIDE_SENT_UNKNOWN;
        *code = again;
        *error = *ret_why;
    }
}

static void explain(struct bide_outbox *outbox, struct batch *batch, bide_code *code, bide_error *error)
{
    bool told = *code != BIDE_E_DATA;
    for (size_t i = 0; i < batch->n; i++) {
        bide_error own = {.text = "the broker failed before it could be asked why"};
        if (batch->results[i] != BIDE_SENT_REFUSED)
            continue;
        if (!told)
            own = *error;
        else if (*code == BIDE_E_DATA)
            ask_again(outbox, batch, i, code, error, &own);
        told = true;
        if (batch->results[i] == BIDE_SENT_REFUSED)
            batch->rows[i]->why = bide_strdup(own.text);
    }
}

static void count(struct bide_outbox *outbox, const struct batch *batch)
{
    uint64_t n = 0;
    for (size_t i = 0; i < batch->n; i++)
        n += batch->results[i] == BIDE_SENT_OK;
    bide_metrics_add(outbox->sent, n);
}

static void *work(void *user)
{
    static struct batch batch; /* one outbox a process */
    struct bide_outbox *outbox = user;
    pthread_mutex_lock(&outbox->lock);
    while (!outbox->stopping || outbox->first) {
        if (!outbox->first) {
            pthread_cond_wait(&outbox->more, &outbox->lock);
            continue;
        }
        gather(outbox, &batch);
        pthread_mutex_unlock(&outbox->lock);
        bide_error error = {0};
        bide_code code = batch.n ? send_batch(outbox, &batch, &error) : BIDE_OK;
        explain(outbox, &batch, &code, &error);
        count(outbox, &batch);
        pthread_mutex_lock(&outbox->lock);
        settle(&batch, code, &error);
    }
    pthread_mutex_unlock(&outbox->lock);
    return NULL;
}

void bide_outbox_send(struct bide_outbox *outbox, struct bide_outbox_request *request)
{
    pthread_cond_init(&request->is_done, NULL);
    pthread_mutex_lock(&outbox->lock);
    push(outbox, request);
    pthread_cond_signal(&outbox->more);
    while (!request->done)
        pthread_cond_wait(&request->is_done, &outbox->lock);
    pthread_mutex_unlock(&outbox->lock);
    pthread_cond_destroy(&request->is_done);
}

/* ---- memory ---- */

bool bide_outbox_reserve(struct bide_outbox *outbox, size_t bytes)
{
    pthread_mutex_lock(&outbox->lock);
    bool room = bytes <= outbox->budget - outbox->bytes;
    outbox->bytes += room ? bytes : 0;
    pthread_mutex_unlock(&outbox->lock);
    return room;
}

void bide_outbox_release(struct bide_outbox *outbox, size_t bytes)
{
    pthread_mutex_lock(&outbox->lock);
    outbox->bytes -= bytes;
    pthread_mutex_unlock(&outbox->lock);
}

/* ---- start and stop ---- */

bide_code bide_outbox_start(
    struct bide_outbox *outbox, const struct bide_config *config, _Atomic uint64_t *sent, bide_error *error)
{
    size_t largest = (size_t)config->worker.max_body * 2; /* base64, or a few escapes */
    *outbox = (struct bide_outbox){.sent = sent};
    outbox->longest = REQUEST_BYTES > largest ? REQUEST_BYTES : largest;
    outbox->budget = outbox->longest * REQUESTS;
    pthread_mutex_init(&outbox->lock, NULL);
    pthread_cond_init(&outbox->more, NULL);
    outbox->config = config;
    if (pthread_create(&outbox->thread, NULL, work, outbox) == 0)
        return BIDE_OK;
    outbox->config = NULL;
    return bide_fail(error, BIDE_E_INTERNAL, "cannot start the thread that sends for POST /send");
}

void bide_outbox_stop(struct bide_outbox *outbox)
{
    if (!outbox->config)
        return;
    pthread_mutex_lock(&outbox->lock);
    outbox->stopping = true;
    pthread_cond_signal(&outbox->more);
    pthread_mutex_unlock(&outbox->lock);
    pthread_join(outbox->thread, NULL);
    bide_producer_close(outbox->producer);
    pthread_cond_destroy(&outbox->more);
    pthread_mutex_destroy(&outbox->lock);
}
