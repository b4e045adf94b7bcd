/* supervisor/supervising.h: shared by the files of this folder. The supervisor's one thread. */
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

/* Did the kernel send a SIGKILL because it was out of memory? Any thread; reads files of /proc and /sys. */

/* How many processes the kernel has killed because it was out of memory: of this process's control group, or
 * of the whole machine if the group does not say. -1: not known. */
int64_t bide_oom_kills(void);

/* The text for a SIGKILL, from the counts before and after it. */
const char *bide_oom_verdict(int64_t before, int64_t after);

/* ---- notify.c ---- */

/* Tells a service manager the state of the supervisor, by the protocol of sd_notify(3): a datagram to the
 * socket that $NOTIFY_SOCKET names (a path, or "@…" of the abstract kind). Does nothing if it is not set.
 *
 * It sends READY=1 when every wanted process serves (once: later replacements do not take it back),
 * RELOADING=1 until a new configuration is accepted or refused, STATUS=… when the number of serving processes
 * changes, STOPPING=1, and WATCHDOG=1 at half of $WATCHDOG_USEC while every process that is not leaving shows
 * signs of life. So if a process is stuck, the manager ends the whole service. The supervisor itself would
 * not notice: it only sees whether a process exists.
 *
 * A manager that does not listen is no error. Thread-safety: one thread. */

struct bide_notify {
    int fd; /* -1: there is no manager */
    struct sockaddr_un to;
    socklen_t to_size;
    int64_t watchdog_ms; /* the manager's limit; 0: none */
    int64_t ticked_ms;   /* monotonic: when the last WATCHDOG=1 was sent */
    int serving;         /* as last sent; -1: nothing sent yet */
    bool ready, reloading, stopping;
};

/* The present state. */
struct bide_notify_news {
    int wanted, serving; /* processes */
    int64_t asleep_ms;   /* the longest time since a process last went round its loop */
    bool reloading, stopping;
};

/* Reads the environment variables and clears them, so that no child can speak for the service. */
void bide_notify_open(struct bide_notify *notify);
void bide_notify_close(struct bide_notify *notify);

/* Sends what has changed. Returns in how many ms to call again at the latest; -1: only after a change. */
int64_t bide_notify_tell(struct bide_notify *notify, const struct bide_notify_news *news, int64_t now_ms);

/* ---- attendant.c ---- */

/* A process that the supervisor keeps alive beside the workers: the console, which serves HTTP (console/),
 * the clock, which fires schedules (schedules/), or a relay (relay/).
 *
 * It runs no message, so its death disturbs no worker. It is started again: after a second, or at once if it
 * ended by itself with 0 (SIGUSR2 makes it do that). Thread-safety: the supervisor's. */

struct bide_attendant {
    struct bide_attending is;
    void *user;
    pid_t pid;              /* 0: it does not run */
    int64_t start_again_ms; /* monotonic: not started before */
    int64_t renew_ends_ms;  /* monotonic: it was told to make way, and is killed then; 0: it was not told */
};

/* Starts it if it does not run, is wanted and may; kills it if it does not make way. Returns in how many ms
 * to call again; -1: no need. */
int64_t bide_attendant_tend(
    struct bide_attendant *attendant, struct bide_shared *shared, const struct bide_clock *clock);
/* Returns true if it was this one that ended. */
bool bide_attendant_bury(
    struct bide_attendant *attendant, pid_t pid, int status, const struct bide_clock *clock);
/* Lets it end and start again with the present configuration. */
void bide_attendant_renew(struct bide_attendant *attendant, const struct bide_clock *clock);
/* Ends it: kills it after a second, and gives it up after two. */
void bide_attendant_end(struct bide_attendant *attendant);

enum { BIDE_PLACES_MAX = BIDE_PLACES_EACH * BIDE_PROCESSES_MAX };

struct child {
    pid_t pid; /* 0: there is no process */
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
    struct child children[BIDE_PLACES_MAX]; /* one for each place */
    struct bide_notify notify;
    struct bide_attendant attendants[BIDE_ATTENDANTS_MAX]; /* those without `run` are not there */
    sigset_t signals;
    int64_t oom_kills; /* the count at the last SIGKILL: see oom.c */
    bool has_terminal;
};

/* ---- children.c ---- */

/* Maps the memory that all processes share, with its places. */
bide_code bide_supervisor_share_memory(struct supervisor *supervisor, bide_error *error);
/* Forks a process into a place. If that fails, logs why and returns false. */
bool bide_supervisor_start(struct supervisor *supervisor, size_t place);

/* ---- deaths.c ---- */

/* Tells the states what the process in a place reports in its shared memory. */
void bide_supervisor_look_at(struct supervisor *supervisor, size_t place);
/* Reaps the processes that have ended, blames and suspects messages, and tells the states. */
void bide_supervisor_bury_the_dead(struct supervisor *supervisor);

#endif
