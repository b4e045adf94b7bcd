#include "broker/rabbitmq/admin/batch.h"

#include "base/alloc.h"

enum { SERVE_MS = 200 };

bide_code bide_rmq_batch_init(struct bide_rmq_batch *batch, size_t n, bide_error *error)
{
    batch->items = bide_calloc(n + 1, sizeof *batch->items);
    if (!batch->items)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    batch->n = n;
    for (size_t i = 0; i < n; i++)
        batch->items[i].batch = batch;
    return BIDE_OK;
}

void bide_rmq_batch_clear(struct bide_rmq_batch *batch)
{
    bide_free(batch->items);
    batch->items = NULL;
    batch->n = 0;
}

static struct bide_rmq_publisher *publisher_of(const struct bide_rmq_batch *batch)
{
    return &batch->admin->publisher;
}

static int64_t now_ms(const struct bide_rmq_batch *batch)
{
    return bide_mono_ms(batch->admin->settings->clock);
}

static void deny(struct bide_rmq_batch_item *item, bide_code code, const char *text)
{
    item->state = BIDE_RMQ_BATCH_DENIED;
    item->batch->n_denied++;
    bide_fail(&item->batch->why, code, "%s", text);
}

static void on_outcome(void *owner, void *user, enum bide_rmq_outcome outcome)
{
    struct bide_rmq_batch *batch = owner;
    struct bide_rmq_batch_item *item = user;
    const bide_error *denial = &publisher_of(batch)->denial;
    batch->n_out--;
    batch->heard_ms = now_ms(batch);
    if (outcome == BIDE_RMQ_CONFIRMED)
        item->state = BIDE_RMQ_BATCH_CONFIRMED;
    else if (outcome == BIDE_RMQ_DENIED)
        deny(item, denial->code, denial->text);
    else if (outcome == BIDE_RMQ_RETURNED)
        deny(item, BIDE_E_BROKER, "there is no such queue");
    else if (outcome == BIDE_RMQ_REFUSED)
        deny(item, BIDE_E_BROKER, "the broker cannot take it now");
    batch->has_suspects |= outcome == BIDE_RMQ_SUSPECT;
}

/* Waits until at most n_out messages are in flight and the publisher takes one more. */
static bide_code serve_until(struct bide_rmq_batch *batch, size_t n_out, bide_error *error)
{
    const struct bide_rmq_settings *settings = batch->admin->settings;
    struct bide_rmq_publisher *publisher = publisher_of(batch);
    while (batch->n_out > n_out || bide_rmq_publisher_is_full(publisher)) {
        bide_code code = bide_rmq_publisher_serve(publisher, SERVE_MS, error);
        if (code != BIDE_OK)
            return code;
        if (now_ms(batch) > batch->heard_ms + settings->timeout_ms)
            return bide_fail(error, BIDE_E_TIMEOUT, "%s: the broker did not confirm in time%s",
                settings->redacted, publisher->link.blocked ? ": it has an alarm (memory or disk)" : "");
    }
    return BIDE_OK;
}

/* Publishes the open items: as many at once as the publisher takes, or one at a time while one of them may be
 * the reason why the broker closes the channel. */
static bide_code publish_open(struct bide_rmq_batch *batch, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < batch->n && code == BIDE_OK; i++) {
        struct bide_rmq_batch_item *item = &batch->items[i];
        if (item->state != BIDE_RMQ_BATCH_OPEN)
            continue;
        code = serve_until(batch, batch->has_suspects ? 0 : SIZE_MAX, error);
        if (code != BIDE_OK)
            return code;
        bide_error why;
        code = batch->put(batch, i, item, &why);
        batch->n_out += code == BIDE_OK;
        if (code == BIDE_E_NOMEM)
            return bide_fail(error, code, "%s", why.text);
        if (code != BIDE_OK)
            deny(item, code, why.text);
        code = BIDE_OK;
    }
    return code == BIDE_OK ? serve_until(batch, 0, error) : code;
}

bide_code bide_rmq_batch_publish(struct bide_rmq_batch *batch, bide_error *error)
{
    struct bide_rmq_publisher *publisher = publisher_of(batch);
    publisher->sink = on_outcome;
    publisher->owner = batch;
    batch->heard_ms = now_ms(batch);
    for (;;) {
        size_t n_denied = batch->n_denied;
        bool had_suspects = batch->has_suspects;
        bide_code code = publish_open(batch, error);
        if (code == BIDE_OK)
            return BIDE_OK;
        bide_rmq_publisher_drop(publisher); /* the outcomes of items in flight no longer matter */
        if (batch->n_denied == n_denied && batch->has_suspects == had_suspects)
            return code; /* the connection fails, not one of the messages */
        code = bide_rmq_publisher_open(publisher, batch->role, false, error);
        if (code != BIDE_OK)
            return code;
    }
}
