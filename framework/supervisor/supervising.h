/* supervisor/supervising.h: between the files of this folder. The supervisor's one thread. */
#ifndef BIDE_SUPERVISOR_SUPERVISING_H
#define BIDE_SUPERVISOR_SUPERVISING_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/clock.h"
#include "shared/memory.h"
#include "supervisor/states.h"
#include "supervisor/supervisor.h"

/* ---- oom.c ---- */

/* Was it the kernel, out of memory, that sent a SIGKILL? Any thread; reads files of /proc and /sys. */

/* How many processes the kernel has killed for want of memory so far: of this process's control group, or,
 * where that does not tell, of the whole machine. -1: not known. */
int64_t bide_oom_kills(void);

/* What to say of a SIGKILL, the counts before and after it being known. */
const char *bide_oom_verdict(int64_t before, int64_t after);

/* ---- notify.c ---- */

/* Tells a service manager how the supervisor is, by the protocol of sd_notify(3): a
 * datagram to the socket $NOTIFY_SOCKET names (a path, or "@…" of the abstract kind). Nothing happens where
 * it is not set.
 *
 * What is said: READY=1 once every wanted process serves (later ones that are replaced do not take it back),
 * RELOADING=1 until a new configuration is taken over or refused, STATUS=… when the number of serving
 * processes changes, STOPPING=1, and WATCHDOG=1 at half of $WATCHDOG_USEC for as long as every process is
 * awake that is not about to leave. A process that is stuck lets the manager end the whole service: a
 * supervisor that only looks whether a process exists would never notice.
 *
 * It is nobody's error when the manager does not listen. Thread-safety: one thread. */

struct bide_notify {
    int fd; /* -1: nobody to tell */
    struct sockaddr_un to;
    socklen_t to_size;
    int64_t watchdog_ms; /* the manager's limit; 0: none */
    int64_t ticked_ms;   /* monotonic: the last WATCHDOG=1 */
    int serving;         /* as last told; -1: nothing yet */
    bool ready, reloading, stopping;
};

/* How it is now. */
struct bide_notify_news {
    int wanted, serving; /* processes */
    int64_t asleep_ms;   /* how long ago the sleepiest process last went round its loop */
    bool reloading, stopping;
};

/* Reads the environment, and clears it, so that no child speaks for the service. */
void bide_notify_open(struct bide_notify *notify);
void bide_notify_close(struct bide_notify *notify);

/* Sends what is new. Returns how many ms from now it wants to be called again at the latest, -1: when
 * something changes. */
int64_t bide_notify_tell(struct bide_notify *notify, const struct bide_notify_news *news, int64_t now_ms);

/* ---- attendant.c ---- */

/* The console's process, which the supervisor keeps alive beside the workers.
 *
 * It serves HTTP (console/), touches no message, and its death is nobody's trouble: it is started again after
 * a second, at once where it ended by itself with 0 (SIGUSR2 makes it do that). Thread-safety: the
 * supervisor's. */

struct bide_attendant {
    bide_attendant_main *run; /* NULL: there is none */
    void *user;
    pid_t pid;              /* 0: it does not run */
    int64_t start_again_ms; /* monotonic, not before */
    int64_t renew_ends_ms;  /* told to make way for another one: killed then; 0: not told */
};

/* Starts it where it does not run and may; kills it where it does not make way. Returns how soon (ms) to call
 * this again, -1: not by itself. */
int64_t bide_attendant_tend(
    struct bide_attendant *attendant, struct bide_shared *shared, const struct bide_clock *clock);
/* True where it was this one that ended. */
bool bide_attendant_bury(
    struct bide_attendant *attendant, pid_t pid, int status, const struct bide_clock *clock);
/* Has it end and start again, with the configuration that holds now. */
void bide_attendant_renew(struct bide_attendant *attendant, const struct bide_clock *clock);
/* Ends it: after a second by force, after two without it. */
void bide_attendant_end(struct bide_attendant *attendant);

enum { BIDE_PLACES_MAX = BIDE_PLACES_EACH * BIDE_PROCESSES_MAX };

struct child {
    pid_t pid; /* 0: nobody */
    int threads;
    struct bide_metrics *metrics;
    struct bide_process *process;
};

struct supervisor {
    const struct bide_supervisor_options *options;
    const struct bide_clock *clock;
    struct bide_shared *shared;
    struct bide_states states;
    struct bide_place places[BIDE_PLACES_MAX];
    struct child children[BIDE_PLACES_MAX]; /* one in each place */
    struct bide_notify notify;
    struct bide_attendant attendant;
    sigset_t signals;
    int64_t oom_kills; /* as of the last SIGKILL: see supervisor/supervising.h */
    bool has_terminal;
};

/* ---- children.c ---- */

/* Maps what all processes share, and makes the places in it. */
bide_code bide_supervisor_share_memory(struct supervisor *supervisor, bide_error *error);
/* Forks a process into a place. False, and the log says why, where that fails. */
bool bide_supervisor_start(struct supervisor *supervisor, size_t place);

/* ---- deaths.c ---- */

/* Tells the states what the process in a place has said of itself. */
void bide_supervisor_look_at(struct supervisor *supervisor, size_t place);
/* Looks who has ended, blames and suspects messages, and tells the states. */
void bide_supervisor_bury_the_dead(struct supervisor *supervisor);

#endif
