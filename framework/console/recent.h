/* console/recent.h: the results of each type's runs in the last minutes. It keeps the totals of every half
 * minute and subtracts them from the present ones. Begins with the console.
 *
 * Thread-safety: the console's main thread steps, any thread asks. */
#ifndef BIDE_CONSOLE_RECENT_H
#define BIDE_CONSOLE_RECENT_H

#include <pthread.h>

#include "console/totals.h"

enum { BIDE_RECENT_STEP_MS = 30 * 1000, BIDE_RECENT_STEPS = 10 };

struct bide_recent {
    pthread_mutex_t lock;
    struct bide_totals taken[BIDE_RECENT_STEPS];
    int64_t taken_ms[BIDE_RECENT_STEPS]; /* monotonic */
    uint64_t n;                          /* how many were ever taken */
};

void bide_recent_init(struct bide_recent *recent);
void bide_recent_clear(struct bide_recent *recent);

/* Takes over `totals` if it is time to keep them. True: they no longer belong to the caller. */
bool bide_recent_keep(struct bide_recent *recent, struct bide_totals *totals, int64_t now_ms);

/* Subtracts older counts and histograms from `totals`, so that those of the last minutes are left. Returns
 * how many ms they cover; 0: nothing is known yet, and the totals are unchanged. */
int64_t bide_recent_reduce(struct bide_recent *recent, struct bide_totals *totals, int64_t now_ms);

#endif
