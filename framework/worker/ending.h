/* worker/ending.h: when and how a worker ends.
 *
 *   SERVING ─> DRAINING ─> (CANCELLING) ─> LEAVING ─> ENDED
 *
 * Thread-safety: the intake thread's; `stops` is raised by any thread and by signal handlers. */
#ifndef BIDE_WORKER_ENDING_H
#define BIDE_WORKER_ENDING_H

#include <stdatomic.h>

#include "worker/passage.h"

enum bide_stage {
    BIDE_STAGE_SERVING,
    BIDE_STAGE_DRAINING,   /* takes nothing new; what runs may finish */
    BIDE_STAGE_CANCELLING, /* what runs has been told to return */
    BIDE_STAGE_LEAVING,    /* the last settlements become final */
    BIDE_STAGE_ENDED,
};

struct bide_ending {
    _Atomic int stops; /* how often somebody asked it to stop */
    enum bide_stage stage;
    int64_t ends_us;      /* monotonic: this stage, at the latest */
    int64_t exit_idle_us; /* 0: never */
    int64_t busy_us;      /* monotonic: last time there was something to do */
};

/* The worker serves: tells the supervisor. */
void bide_ending_begin(struct bide_ending *ending, const struct bide_passage *passage);
/* Once a round, in which so many were received: goes on to the next stage where this one is over. */
void bide_ending_advance(
    struct bide_ending *ending, struct bide_passage *passage, size_t received, int64_t now_us);
/* How soon the next round must come; -1: when something happens. */
int64_t bide_ending_wait_us(const struct bide_ending *ending, int64_t now_us);

/* After the pool has been stopped: tells the supervisor which messages hung, before the broker can hand them
 * out. */
void bide_ending_report_hung(const struct bide_passage *passage);

#endif
