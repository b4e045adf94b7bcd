/* relay/process.h: a relay as a process of its own: `bide relay`, and those of a supervisor. */
#ifndef BIDE_RELAY_PROCESS_H
#define BIDE_RELAY_PROCESS_H

#include <signal.h>

#include "config/config.h"
#include "shared/relays.h"

/* Carries until one of these signals comes; they are blocked from here on. Ends that are away are waited for;
 * fails at once where an URL is none. metrics: NULL, or the row of this relay. ret_carried (may be NULL): how
 * many. The process's one thread. */
bide_code bide_relay_run(const struct bide_config *config, const struct bide_relay_config *what,
    struct bide_relay_metrics *metrics, const sigset_t *stops, uint64_t *ret_carried, bide_error *error);

/* What lies in the relay's source. */
struct bide_source_depth;
bide_code bide_relay_look(const struct bide_config *config, const struct bide_relay_config *what,
    struct bide_source_depth *ret_depth, bide_error *error);

#endif
