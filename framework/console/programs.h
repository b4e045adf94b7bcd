/* console/programs.h: what the worker processes tell of their programs, added up over all places. Any thread.
 */
#ifndef BIDE_CONSOLE_PROGRAMS_H
#define BIDE_CONSOLE_PROGRAMS_H

#include "shared/memory.h"

struct bide_program_total {
    const char *name; /* in the shared memory */
    uint64_t runs, restarts;
    int processes;
    int64_t memory; /* bytes of its processes now, from /proc */
};

/* In the order in which they came. Returns how many there are. */
size_t bide_program_totals(
    const struct bide_shared *shared, struct bide_program_total ret_totals[BIDE_METRICS_PROGRAMS]);

#endif
