/* worker/intake.h: the loop between the broker and the pool.
 *
 * One thread, the one that calls bide_worker_run, owns the receiver. It takes deliveries in, lets them pass
 * the gates, hands them to the pool, collects what has run, and settles (worker/passage.h). It runs no
 * handler and waits in one place (ppoll), so that settling and the broker's heartbeats never wait for user
 * code.
 *
 * Thread-safety: everything is the intake thread's; bide_intake_stop is for any thread and signal handlers.
 */
#ifndef BIDE_WORKER_INTAKE_H
#define BIDE_WORKER_INTAKE_H

#include "base/wakeup.h"
#include "worker/ending.h"
#include "worker/measuring.h"

struct bide_intake {
    struct bide_passage passage;
    struct bide_ending ending;
    struct bide_measuring measuring;
    struct bide_wakeup wakeup;
};

/* Pool and receiver are set before run; what is given is borrowed. */
bide_code bide_intake_init(struct bide_intake *intake, const struct bide_config *config,
    const struct bide_handlers *handlers, const struct bide_clock *clock, bide_error *error);
/* Before run: this worker has a supervisor. */
void bide_intake_supervised_by(struct bide_intake *intake, const struct bide_supervised *supervised);
/* After the pool has given everything back. */
void bide_intake_clear(struct bide_intake *intake);

/* Serves until told to stop, idle for so long, or the receiver fails for good. */
bide_code bide_intake_run(struct bide_intake *intake, bide_error *error);

void bide_intake_stop(struct bide_intake *intake);

#endif
