/* broker/rabbitmq/admin/batch.h: publishes many messages and waits for all of them. One that the broker
 * denies keeps none of the others back.
 *
 * One thread at a time. The batch borrows the admin's publisher, which must be open, until publish returns.
 */
#ifndef BIDE_BROKER_RABBITMQ_ADMIN_BATCH_H
#define BIDE_BROKER_RABBITMQ_ADMIN_BATCH_H

#include "broker/rabbitmq/admin/admin.h"

struct bide_rmq_batch;

/* Puts the number-th message into the publisher, with the item given. */
typedef bide_code bide_rmq_batch_put(
    struct bide_rmq_batch *batch, size_t number, void *item, bide_error *error);

enum bide_rmq_batch_state {
    BIDE_RMQ_BATCH_OPEN, /* to be published; also what is in flight */
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
    const char *role; /* of the connection, where it must be made again */
    bide_rmq_batch_put *put;
    void *user;
    struct bide_rmq_batch_item *items;
    size_t n;
    size_t n_out, n_denied;
    bool has_suspects; /* one by one from now on */
    bide_error why;    /* the last was denied */
    int64_t heard_ms;  /* monotonic: the last answer, or the beginning */
};

/* Room for n items, all OPEN. The caller sets what stands before `items`. */
bide_code bide_rmq_batch_init(struct bide_rmq_batch *batch, size_t n, bide_error *error);
void bide_rmq_batch_clear(struct bide_rmq_batch *batch);
/* BIDE_OK where none is OPEN any more; some may be DENIED. Nothing is in flight afterwards. */
bide_code bide_rmq_batch_publish(struct bide_rmq_batch *batch, bide_error *error);

#endif
