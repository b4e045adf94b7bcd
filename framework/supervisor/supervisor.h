/* supervisor/supervisor.h: a parent process that only supervises, and the worker processes that it keeps
 * alive.
 *
 * The parent has no plugin code, no broker connection and one thread. It forks worker.processes children.
 * When one dies, it reads from shared memory which message ran on which thread (shared/slot.h), notes the
 * guilty one (shared/crashes.h), and starts another process. After deaths that no message explains it waits
 * longer and longer.
 *
 * Its decisions are in supervisor/states.h. If a child ends by itself with an error before any has ever
 * served, it is not started again, and its exit status becomes the supervisor's (a wrong password does not
 * get better by trying). Later, such an end (the broker is down just now) is handled as any other death. A
 * child that leaves without being told by the supervisor is replaced, unless it was idle.
 *
 * Signals: the first SIGTERM or SIGINT is passed on as SIGTERM, each further one as SIGUSR2. A terminal or a
 * service manager sends SIGINT or SIGTERM to every process of a group; so for a child these mean only "stop",
 * however often they come. A child that has not ended 30 s after its time gets SIGKILL. A child whose parent
 * dies stops by itself.
 *
 * SIGHUP: the configuration is read again (options.prepare). One process, the candidate, is started with it
 * beside the old ones. When it serves, others are started, and the old ones get SIGTERM and all the time they
 * need: they finish their runs, hand back the other deliveries, and leave. If the candidate ends before it
 * serves, or does not serve within a minute, the reload is over, and the old processes go on. A SIGHUP during
 * a reload starts another one afterwards. If the terminal of the process is gone, SIGHUP means a first
 * SIGTERM; under nohup it is ignored.
 *
 * SIGTSTP: quiet; processes begin nothing new until SIGCONT, and finish what they run. */
#ifndef BIDE_SUPERVISOR_SUPERVISOR_H
#define BIDE_SUPERVISOR_SUPERVISOR_H

#include <sys/types.h>

#include "bide/error.h"
#include "config/config.h"
#include "shared/memory.h"
#include "supervisor/states.h"

/* Runs in each child after the fork; returns the exit status of the process. */
typedef int bide_supervised_main(void *user, const struct bide_supervised *shared);

/* Runs in a child until SIGUSR2, which is blocked; returns its exit status. It ignores the signals that a
 * terminal or a service manager sends to every process of a group: the supervisor decides when it ends.
 * number: as in struct bide_attending. */
typedef int bide_attendant_main(void *user, size_t number, struct bide_shared *shared);

/* A process beside the workers. */
struct bide_attending {
    const char *name; /* "console", for the log */
    bide_attendant_main *run;
    bool (*is_wanted)(void *user, size_t number); /* with the configuration in use; NULL: always */
    size_t number;                                /* among those of the same kind */
};
enum { BIDE_ATTENDANTS_MAX = 2 + BIDE_RELAYS_MAX };

struct bide_supervisor_options {
    struct bide_workforce force;
    bide_supervised_main *run;
    /* SIGHUP: reads the configuration for a candidate. The supervisor logs the error. NULL: SIGHUP does
     * nothing. */
    bide_code (*prepare)(void *user, struct bide_workforce *ret_force, bide_error *error);
    /* After a successful prepare: whether all processes from now on run with the new configuration, or none.
     * Logs it. */
    void (*conclude)(void *user, bool accepted);
    void *user;
    const struct bide_attending *attend; /* with the same `user` */
    size_t n_attend;                     /* at most BIDE_ATTENDANTS_MAX */
};

/* Returns when all children have ended (told to, or idle), with the exit status for this process: 0, or the
 * status of a child that ended before any served. Call it with only one thread running. The signals that it
 * obeys are blocked from here on, also after it has returned, so that none ends this process before it
 * returns its status. No child has them blocked. */
bide_code bide_supervise(const struct bide_supervisor_options *options, int *ret_status, bide_error *error);

#endif
