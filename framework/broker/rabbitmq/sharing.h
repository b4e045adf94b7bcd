/* broker/rabbitmq/sharing.h: how many landed messages a worker takes in hand, so that all workers together
 * have at most BIDE_RMQ_LANDED_MAX of one landing queue: a quorum queue with many more unacknowledged
 * messages, settled in another order than they came, falls behind (docs/scaling.md).
 *
 * The share is a power of two's part, so that few changes of the number of workers change it: each change
 * costs a consumer. Thread-safety: pure functions. */
#ifndef BIDE_BROKER_RABBITMQ_SHARING_H
#define BIDE_BROKER_RABBITMQ_SHARING_H

#include <stddef.h>
#include <stdint.h>

/* The second one is the least that a worker takes: with more than 32 workers their sum is above the first. */
enum { BIDE_RMQ_LANDED_MAX = 8000, BIDE_RMQ_LANDED_LEAST = 250 };

/* The share of one of so many workers. */
size_t bide_rmq_landed_share(size_t n_workers);

/* How many consumers a queue has, of all workers, and how many of them are ours; `own` 0: not known. */
struct bide_rmq_consumers {
    int64_t all;
    size_t own;
};

/* At most how many workers consume, judged by several queues from which each has at least one consumer: the
 * one with the fewest consumers tells best. `before` where none tells. */
size_t bide_rmq_workers_of(const struct bide_rmq_consumers *queues, size_t n, size_t before);

#endif
