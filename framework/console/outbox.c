#include "console/outbox.h"

#include "base/alloc.h"
#include "producer/configured.h"
#include "shared/metrics.h"

enum {
    REQUEST_BYTES = 16 * 1024 * 1024, /* of one request; more if one body may be larger */
    REQUESTS = 4,                     /* how many requests of the largest size at once */
};

/* The messages of one round, which are sent in one commit. */
struct bide_outbox_batch {
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

/* Once the lock is released, the request belongs to its own thread again. */
static void finish(struct bide_outbox_request *request)
{
    request->done = true;
    pthread_cond_signal(&request->turn);
}

static void take(struct bide_outbox_batch *batch, struct bide_outbox_request *request)
{
    for (; batch->n < BIDE_OUTBOX_BATCH && request->taken < request->n; batch->n++, request->taken++) {
        struct bide_outbox_row *row = &request->rows[request->taken];
        batch->rows[batch->n] = row;
        batch->owners[batch->n] = request;
        batch->messages[batch->n] = row->message;
        batch->results[batch->n] = BIDE_SENT_UNKNOWN;
    }
}

static void gather(struct bide_outbox *outbox, struct bide_outbox_batch *batch)
{
    batch->n = 0;
    while (batch->n < BIDE_OUTBOX_BATCH && outbox->first) {
        struct bide_outbox_request *request = pop(outbox);
        if (request->failed) {
            finish(request); /* its other rows stay unsent */
            continue;
        }
        take(batch, request);
        if (request->taken < request->n) {
            push(outbox, request);
            return;
        }
    }
}

static void settle(struct bide_outbox_batch *batch, bide_code code, const bide_error *error)
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

static bide_code send_batch(struct bide_outbox *outbox, struct bide_outbox_batch *batch, bide_error *error)
{
    if (!outbox->producer) {
        bide_code code = bide_producer_open_configured(outbox->config, &outbox->producer, error);
        if (code != BIDE_OK)
            return code;
    }
    return bide_producer_send_many(outbox->producer, batch->messages, batch->n, batch->results, error);
}

/* The producer says only why it refused the first message of a batch. Sending another refused message alone
 * returns its reason (or sends it, if the reason has gone). If the broker fails meanwhile, this message may
 * have been stored or not, and no further one is tried: *code and *error then hold that failure. */
static void ask_again(struct bide_outbox *outbox, struct bide_outbox_batch *batch, size_t i, bide_code *code,
    bide_error *error, bide_error *ret_why)
{
    bide_code again = bide_producer_send(outbox->producer, batch->messages[i], ret_why);
    if (again == BIDE_OK) {
        bool twice = *bide_message_duplicate_of(batch->messages[i]);
        batch->results[i] = twice ? BIDE_SENT_DUPLICATE : BIDE_SENT_OK;
    } else if (again != BIDE_E_DATA) {
        batch->results[i] = BIDE_SENT_UNKNOWN;
        *code = again;
        *error = *ret_why;
    }
}

static void explain(
    struct bide_outbox *outbox, struct bide_outbox_batch *batch, bide_code *code, bide_error *error)
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

static void count(struct bide_outbox *outbox, const struct bide_outbox_batch *batch)
{
    uint64_t n = 0;
    for (size_t i = 0; i < batch->n; i++)
        n += batch->results[i] == BIDE_SENT_OK;
    bide_metrics_add(outbox->sent, n);
}

/* Called with the lock held; releases it while sending. */
static void lead_a_round(struct bide_outbox *outbox)
{
    struct bide_outbox_batch *batch = outbox->batch;
    bide_error error = {0};
    outbox->is_led = true;
    gather(outbox, batch);
    pthread_mutex_unlock(&outbox->lock);
    bide_code code = batch->n ? send_batch(outbox, batch, &error) : BIDE_OK;
    explain(outbox, batch, &code, &error);
    count(outbox, batch);
    pthread_mutex_lock(&outbox->lock);
    settle(batch, code, &error);
    outbox->is_led = false;
}

void bide_outbox_send(struct bide_outbox *outbox, struct bide_outbox_request *request)
{
    pthread_cond_init(&request->turn, NULL);
    pthread_mutex_lock(&outbox->lock);
    push(outbox, request);
    while (!request->done)
        if (outbox->is_led)
            pthread_cond_wait(&request->turn, &outbox->lock);
        else
            lead_a_round(outbox);
    if (!outbox->is_led && outbox->first)
        pthread_cond_signal(&outbox->first->turn);
    pthread_mutex_unlock(&outbox->lock);
    pthread_cond_destroy(&request->turn);
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
    size_t largest = (size_t)config->worker.max_body * 2; /* twice, for base64 or a few escapes */
    *outbox = (struct bide_outbox){.sent = sent};
    outbox->longest = REQUEST_BYTES > largest ? REQUEST_BYTES : largest;
    outbox->budget = outbox->longest * REQUESTS;
    outbox->batch = bide_calloc(1, sizeof *outbox->batch);
    if (!outbox->batch)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    pthread_mutex_init(&outbox->lock, NULL);
    outbox->config = config;
    return BIDE_OK;
}

void bide_outbox_stop(struct bide_outbox *outbox)
{
    if (!outbox->config)
        return;
    bide_producer_close(outbox->producer);
    bide_free(outbox->batch);
    pthread_mutex_destroy(&outbox->lock);
}
