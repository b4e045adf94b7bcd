/* worker/prefetch.h: how many deliveries of each queue a worker holds. Intake thread; no clock, no broker.
 *
 * Enough that the pool never waits for the broker, few enough that nothing waits long behind a slow handler:
 * a message held here cannot be run by another worker. It begins at twice the threads, or four times the
 * largest batch; doubles when the pool ran dry although the queue was at its limit and waits are short;
 * halves when waits grow long. A configured number stays as it is. */
#ifndef BIDE_WORKER_PREFETCH_H
#define BIDE_WORKER_PREFETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BIDE_PREFETCH_MAX = 2048 };

struct bide_prefetch {
    size_t base; /* where it begins, and the least */
    bool fixed;
    size_t limit;
    size_t told;             /* the limit that the receiver has been told; it may be lower */
    size_t held;             /* deliveries in hand that count */
    size_t ended;            /* … of which so many have ended, and wait until the store knows */
    bool reached;            /* held came near the limit since the last adaptation */
    int64_t longest_wait_us; /* of what began to run since the last adaptation */
    int64_t next_us;         /* monotonic: not to be adapted again before */
};

/* configured: 0 for automatic. batch: the largest of the queue's handlers, of which one can then fill while
 * one runs and others are being settled; 1: they have none. */
void bide_prefetch_init(struct bide_prefetch *prefetch, int configured, size_t threads, size_t batch);
void bide_prefetch_took(struct bide_prefetch *prefetch, size_t n);          /* deliveries in */
void bide_prefetch_gave(struct bide_prefetch *prefetch, int64_t waited_us); /* one out; -1: it did not run */
/* True where the limit changed. */
bool bide_prefetch_adapt(struct bide_prefetch *prefetch, bool pool_ran_dry, int64_t now_us);

#endif
