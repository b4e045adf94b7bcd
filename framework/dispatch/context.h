/* dispatch/context.h: what a handler sees of its run; the inside of bide_context.
 *
 * One for each pool thread, used again for each run. Written by the pool thread, but for `cancelled`, which
 * the intake sets through bide_context_cancel, and the deadline, which both read. */
#ifndef BIDE_DISPATCH_CONTEXT_H
#define BIDE_DISPATCH_CONTEXT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/wakeup.h"
#include "bide/handler.h"
#include "dispatch/job.h"

enum { BIDE_CONTEXT_SENDS_MAX = 1000 };

struct bide_context {
    const struct bide_clock *clock;
    const struct bide_job *job;
    struct bide_run *run; /* where the result goes */
    int64_t deadline_us;  /* monotonic; INT64_MAX: none */
    int64_t kill_us; /* (intake) monotonic: from then on the run counts as hung; INT64_MAX: not cancelled by
                        its timeout yet, or in a sandbox, which sees to its own */
    _Atomic bool cancelled;
    _Atomic bool has_cancel_fd; /* `cancel` is open */
    struct bide_wakeup cancel;
    bool sandboxed; /* in a sandbox child: the worker cancels by `cancel` alone */
    size_t sends_capacity;
};

void bide_context_init(struct bide_context *context, const struct bide_clock *clock);
void bide_context_close(struct bide_context *context);

/* Before and after the handler's call, on its thread. end stores outcome and times in the job's run, and
 * returns when it ended (monotonic). */
void bide_context_begin(
    struct bide_context *context, struct bide_job *job, int64_t now_wall_us, int64_t now_mono_us);
int64_t bide_context_end(struct bide_context *context, struct bide_job *job, bide_outcome outcome);

/* Intake thread: makes bide_cancelled true and the descriptor readable. The run must not end meanwhile. */
void bide_context_cancel(struct bide_context *context);

/* The same at its timeout: from now on it has kill_after to return, however late this is called (the process
 * was stopped, a broker made the intake wait): nobody is hung who has not been told. */
void bide_context_time_out(struct bide_context *context, int64_t now_mono_us);

/* Frees what a run carries. */
void bide_run_release(struct bide_run *run);

#endif
