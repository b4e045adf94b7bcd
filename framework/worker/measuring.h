/* worker/measuring.h: the gauges of a worker process, in the memory that it shares. Intake thread. */
#ifndef BIDE_WORKER_MEASURING_H
#define BIDE_WORKER_MEASURING_H

#include "worker/passage.h"

struct bide_measuring {
    uint64_t received, reconnects, lost; /* what has been added to the shared counters */
    int64_t pool_us;                     /* monotonic: when the pool was last asked */
};

/* Before run: gives each handler its row in the metrics, and tells there what handles its type. */
void bide_measure_handlers(const struct bide_handlers *handlers, struct bide_metrics *metrics);
/* Once a round, before waiting. */
void bide_measure(struct bide_measuring *measuring, const struct bide_passage *passage, int64_t now_us);

#endif
