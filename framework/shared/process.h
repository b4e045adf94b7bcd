/* shared/process.h: what a worker process and its supervisor tell each other. Begins anew with each process.
 * Thread-safety: written by the process, except `unhurried`, and read by either at any time. */
#ifndef BIDE_SHARED_PROCESS_H
#define BIDE_SHARED_PROCESS_H

#include "config/config.h"
#include "shared/slot.h"

/* What a process says of its end, before it begins to hand back what it holds. */
enum bide_leaving {
    BIDE_STAYS,
    BIDE_LEAVES,      /* it was told to, by whomever */
    BIDE_LEAVES_IDLE, /* it had nothing to do for so long (--exit-idle) */
    BIDE_LEAVES_HUNG, /* a handler does not return: another process is to go on */
};

struct bide_process {
    _Atomic int serving; /* set once the worker consumes; SIGUSR1 to the supervisor says so */
    _Atomic int leaving; /* enum bide_leaving: set before it begins to finish; SIGUSR1 says so */
    _Atomic int
        unhurried;        /* while set, the stop leaves it all the time its handlers take: the supervisor's */
    _Atomic int returned; /* set when its main function has, or before an _exit() that stands for that: else
                             somebody else ended the process, also with status 0 */
    _Atomic int64_t beat_ms;                  /* monotonic: when the intake thread last went round its loop */
    char failure[BIDE_ERROR_SIZE];            /* why a candidate did not come to serve; "": it has not said */
    struct bide_slot slots[BIDE_THREADS_MAX]; /* one for each pool thread */
};

#endif
