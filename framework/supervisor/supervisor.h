/* supervisor/supervisor.h: a parent that only supervises, and the worker processes it keeps alive.
 *
 * The parent has no plugin code, no broker connection and one thread. It forks worker.processes children;
 * when one dies it reads from shared memory which message was running where (shared/slot.h), notes the
 * guilty one (shared/crashes.h), and starts another. Deaths that no message explains make it wait longer
 * and longer.
 *
 * What it decides is in supervisor/states.h. A child that ends by itself with an error before any has ever
 * served is not started again: its exit status is the supervisor's (a wrong password does not get better by
 * trying). Later on, such an end (the broker is down just now) is a death like others. A child that leaves
 * without being told by the supervisor is replaced, unless it was idle.
 *
 * Signals: the first SIGTERM or SIGINT is passed on as SIGTERM, any further one as SIGUSR2: a terminal or a
 * service manager sends SIGINT or SIGTERM to every process of a group, so that these say no more to a child
 * than "stop", however often. Who has not ended 30 s after its time gets SIGKILL. A child whose parent dies
 * stops by itself.
 *
 * SIGHUP: the configuration is read again (options.prepare). One process, the candidate, is started with it
 * beside those that serve; when it serves too, it is joined by others, and the old ones get SIGTERM with all
 * the time they need: they finish what runs, hand back the rest, and leave. A candidate that ends before it
 * serves, or does not within a minute, is the end of the matter: the old ones never knew. A further SIGHUP
 * meanwhile begins another reload afterwards. In a process whose terminal is gone it means a first SIGTERM;
 * where nohup has it ignored, nothing.
 *
 * SIGTSTP: quiet; no process begins anything new until SIGCONT, and each finishes what it runs.
 */
#ifndef BIDE_SUPERVISOR_SUPERVISOR_H
#define BIDE_SUPERVISOR_SUPERVISOR_H

#include <sys/types.h>

#include "bide/error.h"
#include "config/config.h"
#include "shared/memory.h"
#include "supervisor/states.h"

/* Runs in each child, after the fork: returns the exit status of the process. */
typedef int bide_supervised_main(void *user, const struct bide_supervised *shared);

/* The console beside the workers. Runs in the child, until SIGUSR2, which is blocked: returns its exit
 * status. What a terminal or a service manager sends to every process of a group is ignored: the supervisor
 * decides when this one ends. */
typedef int bide_attendant_main(void *user, struct bide_shared *shared);

struct bide_supervisor_options {
    struct bide_workforce force;
    bide_supervised_main *run;
    /* SIGHUP: reads what a candidate is to run with. The error is logged. NULL: SIGHUP does nothing. */
    bide_code (*prepare)(void *user, struct bide_workforce *ret_force, bide_error *error);
    /* After a successful prepare: every process to come runs with it, or none does; and it says so. */
    void (*conclude)(void *user, bool accepted);
    void *user;
    bide_attendant_main *attend; /* the console, with the same `user`; NULL: none */
};

/* Until all children have ended (told to, or idle): the exit status for this process, 0 or what a child said
 * before any served. Called with one thread running. The signals it obeys are blocked from here on, also
 * after it has returned: none is to end this process before its status is told. No child has any blocked. */
bide_code bide_supervise(const struct bide_supervisor_options *options, int *ret_status, bide_error *error);

#endif
