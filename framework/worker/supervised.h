/* worker/supervised.h: a worker in a process that has a supervisor. For `bide worker` alone: in a program of
 * somebody else's, fatal signals are not ours to watch. */
#ifndef BIDE_WORKER_SUPERVISED_H
#define BIDE_WORKER_SUPERVISED_H

#include "bide/worker.h"
#include "shared/memory.h"

/* bide_worker_create from a configuration, which it takes over, also on failure. */
bide_code bide_worker_create_from(struct bide_config *config, const bide_worker_options *options,
    bide_worker **ret_worker, bide_error *error);

/* Before bide_worker_run. `supervised` is borrowed until the process ends. */
bide_code bide_worker_supervised_by(
    bide_worker *worker, const struct bide_supervised *supervised, bide_error *error);

/* Before bide_worker_run: a broker that is out of reach at the start is waited for. */
void bide_worker_wait_for_broker(bide_worker *worker);

/* From a signal handler: SIGTERM and SIGINT are the first stop, however often they come while there is a
 * supervisor; SIGUSR2, from the supervisor alone, is the second. SIGURG: the controls (shared/controls.h)
 * were changed; the intake's next round comes at once. */
void bide_worker_on_signal(bide_worker *worker, int number);

/* After run: a handler did not return and still uses what the worker and the process have. */
bool bide_worker_abandoned(const bide_worker *worker);

#endif
