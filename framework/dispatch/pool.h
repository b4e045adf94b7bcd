/* dispatch/pool.h: the threads that run handlers, and start each job at its moment.
 *
 * Idle threads sleep. One of them, the lander, sleeps only until the next landing job is due and then runs it
 * itself: there is one wake-up between the due millisecond and the handler, whatever the intake thread is
 * doing.
 *
 * How many threads are awake depends on the handlers' run times. A job of a quick handler (tens of µs) does
 * not wake another thread, because the present one finishes before the other is awake. If that guess is
 * wrong, the intake's tick wakes a thread within a millisecond.
 *
 * Ownership: submit hands jobs over to the pool, collect and the withdrawals hand them back. Only the intake
 * thread makes these calls. The pool signals `wakeup` (the intake's) when there is something to collect and
 * the intake sleeps. */
#ifndef BIDE_DISPATCH_POOL_H
#define BIDE_DISPATCH_POOL_H

#include "base/clock.h"
#include "base/wakeup.h"
#include "config/config.h"
#include "dispatch/board.h"
#include "dispatch/handler.h"
#include "dispatch/job.h"
#include "shared/slot.h"

struct bide_pool;

struct bide_pool_options {
    size_t threads;
    enum bide_order order;
    const struct bide_queue_config *queues;
    size_t n_queues;
    struct bide_handlers *handlers; /* borrowed until destroy */
    const struct bide_wakeup *wakeup;
    const struct bide_clock *clock;
    struct bide_metrics *metrics; /* whose `busy` the pool updates; NULL: none */
    struct bide_slot *slots; /* one for each thread, in memory shared with the supervisor; NULL without one */
    struct bide_apart *apart; /* there, too: where threads note the batches that they run */
};

/* Starts the threads. Signals are blocked in all of them, so that the caller's thread gets them. */
bide_code bide_pool_create(
    const struct bide_pool_options *options, struct bide_pool **ret_pool, bide_error *error);

/* Takes over a list of jobs, ready or early. Jobs for which there was no memory come back in `refused`. */
void bide_pool_submit(struct bide_pool *pool, struct bide_job_list *jobs, struct bide_job_list *refused);

/* Returns all jobs that have finished since the last call, and the early jobs that fell due more than
 * grace_us ago and have not begun: no thread was free, or their handler was at its concurrency. */
void bide_pool_collect(struct bide_pool *pool, int64_t grace_us, struct bide_job_list *to);
/* Takes back jobs that have not begun and pass the test (NULL: all). */
void bide_pool_withdraw(
    struct bide_pool *pool, bide_job_test *test, const void *user, struct bide_job_list *to);

/* Called before the intake sleeps. Wakes a thread where jobs wait because a quick handler turned out slow;
 * cancels runs whose timeout has passed. patience: how many runs of quick handlers may end, while others
 * follow, before the pool wakes the intake. Returns when (µs) to call it again: 0: there is something to
 * collect; -1: no need. If a job finishes meanwhile, the pool signals the wake-up. */
int64_t bide_pool_tick(struct bide_pool *pool, size_t patience);

/* Has a thread run out of work since the last call? */
bool bide_pool_ran_dry(struct bide_pool *pool);

struct bide_pool_stats {
    size_t threads;
    size_t running; /* runs inside a handler; a batch is one */
    size_t ready;   /* jobs that could run; a batch is one, and none while it fills */
    size_t blocked; /* jobs that wait for their handler's concurrency */
    size_t landing; /* early jobs */
};
void bide_pool_stats(struct bide_pool *pool, struct bide_pool_stats *ret_stats);

/* Makes bide_cancelled true in all runs. */
void bide_pool_cancel(struct bide_pool *pool);

/* Marks the slots of runs that went on for kill_after after tick had cancelled them, as hung. Returns how
 * many messages they run; always 0 without slots. */
size_t bide_pool_find_hung(struct bide_pool *pool);

/* For a job that a program has run (dispatch/program/host.h). Called by the host's thread. */
void bide_pool_finish(struct bide_pool *pool, struct bide_job *job);
/* Called right before a call (its first job, with its mates): takes out what does not run after all, because
 * it has expired or its permit's time is not now, and says so in its run. Returns the first job of what is
 * left; NULL: nothing. */
struct bide_job *bide_pool_drop(
    struct bide_job *job, const struct bide_clock *clock, int64_t wall_us, struct bide_job_list *ret_dropped);
/* Is its permit's time not now? */
bool bide_pool_is_late(const struct bide_job *job, int64_t mono_us);
void bide_pool_set_share(struct bide_pool *pool, struct bide_share *share, int most);

/* Ends the threads and waits for them up to timeout_ms. False if a handler did not return: pool, handlers and
 * all that this run uses must then never be touched or freed. */
bool bide_pool_stop(struct bide_pool *pool, int64_t timeout_ms);
/* After a stop that returned true. No jobs may be in the pool. NULL is fine. */
void bide_pool_destroy(struct bide_pool *pool);

#endif
