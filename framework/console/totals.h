/* console/totals.h: what the worker processes tell, and take from the machine, added up over all places. Any
 * thread. */
#ifndef BIDE_CONSOLE_TOTALS_H
#define BIDE_CONSOLE_TOTALS_H

#include <stdint.h>

#include "shared/memory.h"

struct bide_type_total {
    const struct bide_type_metrics *row; /* one of those added: for its texts */
    uint64_t counts[BIDE_COUNTS];
    struct bide_histogram_sum duration, wait, lateness;
    int running;
    int circuit; /* the worst of them */
};

struct bide_totals {
    struct bide_type_total *types; /* row "(other)" first, the others as they came */
    size_t n_types;
    uint64_t received, reconnects, lost;
    int processes; /* alive */
    int ready;     /* serving and connected */
    int threads, busy, in_flight, landing, connected;
};

bide_code bide_totals_take(
    const struct bide_shared *shared, struct bide_totals *ret_totals, bide_error *error);
bide_code bide_totals_copy(const struct bide_totals *totals, struct bide_totals *ret_copy, bide_error *error);
void bide_totals_clear(struct bide_totals *totals);

/* All types together. */
struct bide_type_total bide_totals_sum(const struct bide_totals *totals);

/* ---- programs.c ---- */

/* What the worker processes tell of their programs, added up over all places. Any thread. */

struct bide_program_total {
    const char *name; /* in the shared memory */
    uint64_t runs, restarts;
    int processes;
    int64_t memory; /* bytes of its processes now, from /proc */
};

/* In the order in which they came. Returns how many there are. */
size_t bide_program_totals(
    const struct bide_shared *shared, struct bide_program_total ret_totals[BIDE_METRICS_PROGRAMS]);

/* ---- usage.c ---- */

/* What the worker's processes take from the machine, from /proc. Any thread. */

/* Supervisor, worker processes and console together. What cannot be read counts as nothing. */
struct bide_usage {
    double cpu_s;
    int64_t resident, virtual_size; /* bytes */
    int64_t open_fds;
};

void bide_usage_take(const struct bide_shared *shared, struct bide_usage *ret_usage);

#endif
