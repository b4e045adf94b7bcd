/* dispatch/pool.h: the threads that run handlers, and the clock-work that starts each job at its moment.
 *
 * Idle threads sleep; one of them, the lander, sleeps only until the next landing job is due and then runs it
 * itself: one wake-up between the due millisecond and the handler, whatever the intake thread is busy with.
 *
 * How many threads are awake follows what the handlers take: a job of a handler known to be quick (tens of
 * µs) does not wake another thread, because this one will be back before the other has come up; the intake's
 * tick mends a wrong guess within a millisecond.
 *
 * Ownership: submit hands jobs over to the pool, collect and the withdrawals hand them back. All calls are
 * the intake thread's. `wakeup` (the intake's) is signalled when there is something to collect and the intake
 * sleeps. */
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
    struct bide_metrics *metrics; /* whose `busy` is kept; NULL: nobody's */
    struct bide_slot *slots; /* one for each thread, in memory shared with a supervisor; NULL without one */
};

/* Starts the threads; signals stay with the caller's thread (blocked in all of these). */
bide_code bide_pool_create(
    const struct bide_pool_options *options, struct bide_pool **ret_pool, bide_error *error);

/* Takes over a list of jobs, ready or early. What there was no memory for comes back in `refused`. */
void bide_pool_submit(struct bide_pool *pool, struct bide_job_list *jobs, struct bide_job_list *refused);

/* Everything that has finished since the last call, and jobs that came early, fell due more than grace_us ago
 * and have not begun: no thread was free, or their handler was at its concurrency. */
void bide_pool_collect(struct bide_pool *pool, int64_t grace_us, struct bide_job_list *to);
/* Jobs that have not begun and pass the test (NULL: all). */
void bide_pool_withdraw(
    struct bide_pool *pool, bide_job_test *test, const void *user, struct bide_job_list *to);

/* Before the intake sleeps: wakes a thread where jobs wait and a quick handler turned out slow; cancels runs
 * whose timeout has passed. patience: so many runs of quick handlers may end, while others follow, before the
 * intake is woken for them. Says how soon (µs) the next call is needed: 0: there is something to collect, -1:
 * not by itself; what finishes meanwhile is signalled to the wake-up. */
int64_t bide_pool_tick(struct bide_pool *pool, size_t patience);

/* True where a thread ran out of work since the last call. */
bool bide_pool_ran_dry(struct bide_pool *pool);

struct bide_pool_stats {
    size_t threads;
    size_t running; /* inside a handler */
    size_t ready;   /* could run */
    size_t blocked; /* wait for their handler's concurrency */
    size_t landing; /* early */
};
void bide_pool_stats(struct bide_pool *pool, struct bide_pool_stats *ret_stats);

/* Makes bide_cancelled true in all runs. */
void bide_pool_cancel(struct bide_pool *pool);

/* Marks as hung the slots of runs that went on for kill_after after tick had cancelled them; says how many
 * there are. Never any without slots. */
size_t bide_pool_find_hung(struct bide_pool *pool);

/* Of what a program has run (dispatch/program/host.h); its thread. */
void bide_pool_finish(struct bide_pool *pool, struct bide_job *job);
/* Looked at at the last moment: a message expires when it has not begun to run by then. */
bool bide_pool_has_expired(const struct bide_job *job, int64_t wall_us);
void bide_pool_set_share(struct bide_pool *pool, struct bide_share *share, int most);

/* Ends the threads and waits for them up to timeout_ms. False where a handler did not return: pool, handlers
 * and what that run uses must then be left alone for ever. */
bool bide_pool_stop(struct bide_pool *pool, int64_t timeout_ms);
/* After a stop that was true; the pool must be empty of jobs. NULL is fine. */
void bide_pool_destroy(struct bide_pool *pool);

#endif
