/* bide/worker.h: a worker inside a C program of your own; `bide worker` is a thin shell around this.
 *
 *     bide_worker *worker;
 *     bide_error error;
 *     if (bide_worker_create("bide.conf", NULL, &worker, &error) != BIDE_OK)
 *         errx(bide_code_exit(error.code), "%s", error.text);
 *     bide_code code = bide_worker_run(worker, &error);    // until bide_worker_stop
 *     bide_worker_destroy(worker);
 *
 * Two workers in one process work, each run by a thread of its own. Signals are the program's business: the
 * worker installs no handler; call bide_worker_stop from yours. */
#ifndef BIDE_WORKER_H
#define BIDE_WORKER_H

#include <stdint.h>

#include <bide/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_worker bide_worker;

typedef struct bide_worker_options {
    /* Wins over the configuration's; a relative path in it starts where that file lies. NULL: the file's. */
    const char *broker;
    int threads;          /* wins over the configuration's; 0: that of the file */
    int64_t exit_idle_ms; /* leave after so long with nothing to run, to land or to settle; 0: never. Nobody
                             is idle while the broker is away, a circuit is open or something is paused */
} bide_worker_options;

/* Reads the configuration, loads the plugins, opens the handlers; connects in run. options may be NULL. With
 * a handler of isolation = "process" it forks: the program should have no other thread yet. */
BIDE_API bide_code bide_worker_create(const char *config_path, const bide_worker_options *options,
    bide_worker **ret_worker, bide_error *error) BIDE_MUST_USE;

/* Connects and serves until stopped or idle; the calling thread becomes the intake thread. BIDE_OK after a
 * drain in which everything was finished or handed back. Once per worker. */
BIDE_API bide_code bide_worker_run(bide_worker *worker, bide_error *error);

/* First call: takes nothing new, finishes what runs within worker.drain, hands back the rest, returns from
 * run. Second call: cancels what runs and hands everything back now. Any thread, and async-signal-safe. */
BIDE_API void bide_worker_stop(bide_worker *worker);

/* After run has returned (or was never called). NULL is fine. A handler that never returned keeps its thread
 * and its plugin: only the end of the process frees those. */
BIDE_API void bide_worker_destroy(bide_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
