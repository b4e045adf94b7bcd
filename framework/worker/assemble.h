/* worker/assemble.h: a worker whose configuration and handlers the program made itself. For `bide bench`.
 * Threads as in bide/worker.h. */
#ifndef BIDE_WORKER_ASSEMBLE_H
#define BIDE_WORKER_ASSEMBLE_H

#include "bide/worker.h"
#include "config/config.h"
#include "dispatch/handler.h"

/* Takes over the configuration and the handlers, also on failure; run, stop and destroy are those of
 * bide/worker.h. */
bide_code bide_worker_assemble(struct bide_config *config, struct bide_handlers *handlers,
    int64_t exit_idle_ms, bide_worker **ret_worker, bide_error *error);

#endif
