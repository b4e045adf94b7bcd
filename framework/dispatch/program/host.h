/* dispatch/program/host.h: the thread that keeps the processes of all programs, and the jobs that run in
 * them.
 *
 * A program is a handler in another language: long-lived processes that bide starts, feeds, watches, kills
 * and restarts (docs/program-protocol.md). A pool thread does not wait for such a run; it hands the job over
 * and takes the next one:
 *
 *   pool thread   (runner.c) begin     the job goes to the host
 *   host thread   gives it to a process that has room, reads its lines, cancels and kills it
 *   host thread   bide_pool_finish     the job, with the result of its run, goes back to the pool
 *
 * The pool may hand over as many jobs of a program as its share says (dispatch/board.h): as many as its
 * processes can run, and as many again, so that a process that ends a run gets the next one at once.
 *
 * Thread-safety: as each function says. */
#ifndef BIDE_DISPATCH_PROGRAM_HOST_H
#define BIDE_DISPATCH_PROGRAM_HOST_H

#include <pthread.h>
#include <stdatomic.h>

#include <jansson.h>

#include "base/wakeup.h"
#include "dispatch/board.h"
#include "dispatch/program/instance.h"
#include "shared/metrics.h"

struct bide_pool;
struct bide_programs;

enum { BIDE_PROGRAM_SDK = 64 };

struct bide_program {
    const struct bide_program_config *config;
    struct bide_programs *host;
    struct bide_share share;      /* guarded by the pool's lock */
    _Atomic int room;             /* calls that its processes can take at once; 0: no process serves */
    _Atomic bool down;            /* no process serves, and the last start failed */
    struct bide_job_list backlog; /* (lock) jobs that were handed over and have not begun */
    json_t *types;                /* (lock) types in its last greeting */
    json_t *batch_types;          /* (lock) … of which it takes batches; or NULL */
    bool refused;                 /* (lock) its last start failed; `last_error` says why */
    bide_error last_error;        /* (lock) */
    /* the members below belong to the host thread */
    struct bide_program_metrics *metrics; /* or NULL */
    struct bide_instance *processes;
    int n_processes;  /* without those that are leaving */
    int failures;     /* failed starts in a row */
    int64_t start_us; /* no process is started before this time */
    char sdk[BIDE_PROGRAM_SDK];
};

struct bide_programs {
    struct bide_program *rows;
    size_t n;
    const char *dir;
    size_t max_line;
    const struct bide_clock *clock;
    struct bide_pool *pool; /* the host thread's copy of `attached`; NULL until it has seen that */
    pthread_t thread;
    struct bide_wakeup wakeup;
    pthread_mutex_t lock;
    pthread_cond_t changed;       /* signalled when a program serves or has failed, for bide_programs_start */
    struct bide_pool *attached;   /* (lock) */
    struct bide_metrics *metrics; /* (lock) set together with `attached` */
    bool cancels, stops;          /* (lock) */
    bool started;                 /* the thread is running */
};

/* Starts the thread and every process, and returns when each program has a process that serves; fails with
 * the reason if one does not. If the configuration has no programs, *ret_programs is NULL. Called by the
 * thread that owns the worker. */
bide_code bide_programs_start(const struct bide_config *config, const struct bide_clock *clock,
    struct bide_programs **ret_programs, bide_error *error);
/* Tells every process to leave. Kills at once the processes that still run a message, and after 5 s those
 * that have not left. Hands back the jobs. NULL is fine. */
void bide_programs_stop(struct bide_programs *programs);
void bide_programs_destroy(struct bide_programs *programs); /* after bide_programs_stop */

struct bide_program *bide_programs_find(const struct bide_programs *programs, const char *name);
/* Did the program say in its last greeting that it runs this type, or that it takes batches of it? Valid
 * after the start. */
bool bide_program_announces(const struct bide_program *program, const char *type);
bool bide_program_takes_batches(const struct bide_program *program, const char *type);

/* Called before the first job: sets the pool that gets finished jobs back, and the counters of programs (or
 * NULL). */
void bide_programs_attach(
    struct bide_programs *programs, struct bide_pool *pool, struct bide_metrics *metrics);
/* Intake thread: cancels all runs. */
void bide_programs_cancel(struct bide_programs *programs);
/* Intake thread: takes out jobs that were handed over, have not begun and pass the test. */
void bide_programs_withdraw(
    struct bide_programs *programs, bide_job_test *test, const void *user, struct bide_job_list *to);

/* ---- runs.c; called by the host's thread, as all below ---- */

/* Gives waiting jobs to processes that have room. */
void bide_program_feed(struct bide_program *program, int64_t now_us);
/* Carries out one line of the program. */
void bide_program_obey(struct bide_instance *process, const char *line, size_t size);
/* The process has ended: decides what becomes of its runs. */
void bide_program_blame(struct bide_instance *process, int status);
/* Cancels runs beyond their timeout (`all`: all runs) and kills the process if one did not return. Returns
 * when to look again (monotonic µs). */
int64_t bide_program_watch_runs(struct bide_instance *process, bool all, int64_t now_us);

/* ---- keeping.c ---- */

/* Starts missing processes, and retires those that have run enough messages or grown too large. Returns when
 * to look again. */
int64_t bide_program_keep(struct bide_program *program, bool stops, int64_t now_us);
/* Takes a process that has ended out of the program. */
void bide_program_bury(struct bide_instance *process, int status, int64_t now_us);
/* ---- standing.c ---- */

enum { BIDE_PROGRAM_PAUSE_US = 1000 * 1000 }; /* after a failed start; doubled after each further one */

/* The process has said its first line, or its start failed. */
void bide_program_serves(struct bide_instance *process);
void bide_program_start_failed(struct bide_program *program, const bide_error *error, int64_t now_us);
/* Tells the pool how much it may hand over, and the metrics which processes there are. */
void bide_program_tell_processes(struct bide_program *program);

#endif
