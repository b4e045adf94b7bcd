/* broker/rabbitmq/admin/batch.h: publishes many messages and waits for all of them. If the broker denies one,
 * the others are still published.
 *
 * One thread at a time. The batch borrows the admin's publisher, which must be open, until publish
 * returns. */
#ifndef BIDE_BROKER_RABBITMQ_ADMIN_BATCH_H
#define BIDE_BROKER_RABBITMQ_ADMIN_BATCH_H

#include "broker/rabbitmq/admin/admin.h"

struct bide_rmq_batch;

/* Puts message `number` into the publisher as this item. */
typedef bide_code bide_rmq_batch_put(
    struct bide_rmq_batch *batch, size_t number, void *item, bide_error *error);

enum bide_rmq_batch_state {
    BIDE_RMQ_BATCH_OPEN, /* to be published, or in flight */
    BIDE_RMQ_BATCH_CONFIRMED,
    BIDE_RMQ_BATCH_DENIED,
    BIDE_RMQ_BATCH_LEFT_OUT, /* set by the caller before publish */
};

struct bide_rmq_batch_item {
    struct bide_rmq_batch *batch;
    enum bide_rmq_batch_state state;
};

struct bide_rmq_batch {
    struct bide_rmq_admin *admin;
    const char *role; /* of the connection, for making it again */
    bide_rmq_batch_put *put;
    void *user;
    struct bide_rmq_batch_item *items;
    size_t n;
    size_t n_out, n_denied;
    bool has_suspects; /* publish one by one from now on */
    bide_error why;    /* why the last denied message was denied */
    int64_t heard_ms;  /* monotonic: of the last answer, or of the beginning */
};

/* Makes room for n items, all OPEN. The caller has set the members before `items`. */
bide_code bide_rmq_batch_init(struct bide_rmq_batch *batch, size_t n, bide_error *error);
void bide_rmq_batch_clear(struct bide_rmq_batch *batch);
/* BIDE_OK when no item is OPEN any more; some may be DENIED. Nothing is in flight afterwards. */
bide_code bide_rmq_batch_publish(struct bide_rmq_batch *batch, bide_error *error);

#endif
