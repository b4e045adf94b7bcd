/* shared/process.h: what a worker process and its supervisor tell each other, and where the tables lie that
 * all processes of a worker share. Thread-safety: as said at each member. */
#ifndef BIDE_SHARED_PROCESS_H
#define BIDE_SHARED_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/circuits.h"
#include "shared/crashes.h"
#include "shared/metrics.h"
#include "shared/slot.h"

/* What a process says of its end, before it begins to hand back what it holds. */
enum bide_leaving {
    BIDE_STAYS,
    BIDE_LEAVES,      /* it was told to, by whomever */
    BIDE_LEAVES_IDLE, /* it had nothing to do for so long (--exit-idle) */
    BIDE_LEAVES_HUNG, /* a handler does not return: another process is to go on */
};

/* What a worker process shares with its supervisor; NULL for a worker that has none. */
struct bide_supervised {
    pid_t supervisor;
    struct bide_crashes *crashes;
    struct bide_circuits *circuits;
    struct bide_slot *slots;      /* one for each pool thread */
    struct bide_shared *shared;   /* what all processes of this worker tell and are told */
    struct bide_metrics *metrics; /* this one's place in it */
    _Atomic int *serving;         /* set once the worker consumes; SIGUSR1 to the supervisor says so */
    _Atomic int64_t *beat_ms;     /* monotonic: when the intake thread last went round its loop */
    _Atomic int *returned;        /* set before an _exit() that stands for a return from `run` */
    _Atomic int *unhurried;       /* while set, the stop leaves it all the time its handlers take */
    bool candidate;               /* runs with what options.prepare read last */
    char *failure;                /* BIDE_ERROR_SIZE: a candidate says here why it ends */
    _Atomic int *leaving;         /* enum bide_leaving: set before it begins to finish; SIGUSR1 says so */
};

#endif
