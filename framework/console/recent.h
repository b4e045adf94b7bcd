/* console/recent.h: what became of each type's runs in the last minutes: totals taken every half minute, to
 * be subtracted from those of now. Begins with the console.
 *
 * Thread-safety: stepped by the console's main thread, asked by any. */
#ifndef BIDE_CONSOLE_RECENT_H
#define BIDE_CONSOLE_RECENT_H

#include <pthread.h>

#include "console/totals.h"

enum { BIDE_RECENT_STEP_MS = 30 * 1000, BIDE_RECENT_STEPS = 10 };

struct bide_recent {
    pthread_mutex_t lock;
    struct bide_totals taken[BIDE_RECENT_STEPS];
    int64_t taken_ms[BIDE_RECENT_STEPS]; /* monotonic */
    uint64_t n;                          /* ever */
};

void bide_recent_init(struct bide_recent *recent);
void bide_recent_clear(struct bide_recent *recent);

/* Takes over `totals` where it is time to keep some; true: they are no longer the caller's. */
bool bide_recent_keep(struct bide_recent *recent, struct bide_totals *totals, int64_t now_ms);

/* Leaves in counts and histograms of `totals` what was added in the last minutes; how many ms, 0 where
 * nothing is known yet (then the totals are as they were). */
int64_t bide_recent_reduce(struct bide_recent *recent, struct bide_totals *totals, int64_t now_ms);

#endif
