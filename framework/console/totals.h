/* console/totals.h: the metrics of all worker processes, and the memory and processor time that they use,
 * added up. Any thread. */
#ifndef BIDE_CONSOLE_TOTALS_H
#define BIDE_CONSOLE_TOTALS_H

#include <stdint.h>

#include "shared/memory.h"

struct bide_type_total {
    const struct bide_type_metrics *row; /* one of the rows that were added, for its texts */
    uint64_t counts[BIDE_COUNTS];
    struct bide_histogram_sum duration, wait, lateness;
    int running;
    int circuit; /* the worst circuit of them */
};

struct bide_totals {
    struct bide_type_total *types; /* "(other)" first, then in the order in which they were found */
    size_t n_types;
    uint64_t received, reconnects, lost;
    int processes; /* alive */
    int ready;     /* processes that serve and are connected */
    int threads, busy, in_flight, landing, connected;
    struct bide_limit_total {
        const char *name; /* points into the shared memory */
        uint64_t allowed, moved, throttled;
        struct bide_histogram_sum wait;
    } limits[BIDE_METRICS_LIMITS];
    size_t n_limits;
    struct {
        uint64_t operations[BIDE_METRICS_STORE_KINDS]; /* by enum bide_store_kind */
        uint64_t letters, batches, errors;
        struct bide_histogram_sum latency;
        int away; /* processes that do not reach it */
    } store;
};

bide_code bide_totals_take(
    const struct bide_shared *shared, struct bide_totals *ret_totals, bide_error *error);
bide_code bide_totals_copy(const struct bide_totals *totals, struct bide_totals *ret_copy, bide_error *error);
void bide_totals_clear(struct bide_totals *totals);

/* All types together. */
struct bide_type_total bide_totals_sum(const struct bide_totals *totals);

/* ---- programs.c ---- */

/* The metrics of programs, added up over all places. Any thread. */

struct bide_program_total {
    const char *name; /* points into the shared memory */
    uint64_t runs, restarts;
    int processes;
    int64_t memory; /* resident bytes of its processes now, from /proc */
};

/* In the order in which they were found. Returns their number. */
size_t bide_program_totals(
    const struct bide_shared *shared, struct bide_program_total ret_totals[BIDE_METRICS_PROGRAMS]);

/* ---- usage.c ---- */

/* What the worker's processes use of the machine, from /proc. Any thread. */

/* Of supervisor, worker processes and console together. A process that cannot be read counts as nothing. */
struct bide_usage {
    double cpu_s;
    int64_t resident, virtual_size; /* bytes */
    int64_t open_fds;
};

void bide_usage_take(const struct bide_shared *shared, struct bide_usage *ret_usage);

#endif
