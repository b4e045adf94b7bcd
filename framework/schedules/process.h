/* schedules/process.h: the process of a supervisor that fires schedules. */
#ifndef BIDE_SCHEDULES_PROCESS_H
#define BIDE_SCHEDULES_PROCESS_H

#include "bide/error.h"
#include "config/config.h"

/* Runs a clock (clock.h) until SIGUSR2, which is blocked. A store or a broker that is away is waited for;
 * fails where there is no store at all. The process's one thread. */
bide_code bide_schedules_run(const struct bide_config *config, bide_error *error);

#endif
