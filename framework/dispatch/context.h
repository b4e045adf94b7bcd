/* dispatch/context.h: the struct behind bide_context, through which a handler sees its run.
 *
 * Each pool thread has one and uses it for each run. The pool thread writes it, except `cancelled`, which the
 * intake sets through bide_context_cancel, and the deadline, which both read. */
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
    struct bide_context *first; /* of a batch's first message: this one ends with it; NULL: by itself */
    const struct bide_job *job;
    struct bide_run *run; /* receives the result */
    int64_t deadline_us;  /* monotonic; INT64_MAX: none */
    int64_t kill_us; /* (intake) monotonic: from then on the run counts as hung; INT64_MAX: not cancelled by
                        its timeout yet, or in a sandbox, which kills its own runs */
    _Atomic bool cancelled;
    _Atomic bool has_cancel_fd; /* `cancel` is open */
    struct bide_wakeup cancel;
    bool sandboxed; /* in a sandbox child: the worker cancels through `cancel` only */
    size_t sends_capacity;
};

void bide_context_init(struct bide_context *context, const struct bide_clock *clock);
void bide_context_close(struct bide_context *context);

/* Called on the handler's thread before and after it runs. end stores outcome and times in the job's run, and
 * returns when the run ended (monotonic). */
void bide_context_begin(
    struct bide_context *context, struct bide_job *job, int64_t now_wall_us, int64_t now_mono_us);
int64_t bide_context_end(struct bide_context *context, struct bide_job *job, bide_outcome outcome);

/* Intake thread: makes bide_cancelled true and the descriptor readable. The run must not end meanwhile. */
void bide_context_cancel(struct bide_context *context);

/* As cancel, when the timeout has passed. The handler then has kill_after, counted from this call, to return:
 * so a run does not count as hung when the call comes late (the process was stopped, or the broker made the
 * intake wait). */
void bide_context_time_out(struct bide_context *context, int64_t now_mono_us);

/* Frees what the run owns. */
void bide_run_release(struct bide_run *run);

#endif
