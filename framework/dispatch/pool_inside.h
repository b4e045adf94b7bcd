/* dispatch/pool_inside.h: the struct behind the pool, shared by pool.c (the calls of the intake) and
 * pool_thread.c (the threads). Functions that take a pool or a thread need the pool's lock, unless they say
 * otherwise. */
#ifndef BIDE_DISPATCH_POOL_INSIDE_H
#define BIDE_DISPATCH_POOL_INSIDE_H

#include <pthread.h>
#include <time.h>

#include "dispatch/board.h"
#include "dispatch/call.h"
#include "dispatch/context.h"
#include "dispatch/pool.h"

enum { BIDE_POOL_COLLECT_BATCH = 64 }; /* how many quick jobs may finish before the intake is woken */

struct bide_pool_thread {
    struct bide_pool *pool;
    size_t index;
    pthread_t id;
    pthread_cond_t wake; /* on the monotonic clock */
    struct bide_pool_thread *next_idle;
    bool idle;     /* asleep, and not woken yet */
    size_t inside; /* how many messages it runs now, inside a handler */
    bool ended;
    struct bide_slot *slot; /* NULL without a supervisor */
    struct bide_context context;
    struct bide_call call; /* with `batch` */
};

/* `lock` guards all fields but the constant ones. */
struct bide_pool {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a thread has ended; monotonic */
    struct bide_board board;
    struct bide_handlers *handlers;
    const struct bide_wakeup *wakeup;
    const struct bide_clock *clock;
    struct bide_slot *slots;
    struct bide_apart *apart;
    struct bide_metrics *metrics;
    struct bide_job_list done;
    struct bide_pool_thread *idle;   /* a stack: the last one wakes first, while its caches are warm */
    struct bide_pool_thread *lander; /* sleeps until the next landing job is due */
    size_t waking;                   /* threads that were woken and do not run yet */
    size_t running;
    size_t running_quick; /* of those, runs of quick handlers: their threads are free again at once */
    uint64_t taken;       /* jobs ever taken: the tick compares it with taken_seen */
    uint64_t taken_seen;  /* its value at the last tick */
    bool intake_sleeps;
    size_t gather; /* how many finished jobs wake the intake; fewer may wait a tick */
    bool ran_dry;
    bool stopping;
    int64_t next_deadline_us; /* monotonic: the earliest deadline of the running jobs, or an earlier time */
    size_t n_threads;         /* the threads that were started */
    struct bide_pool_thread threads[];
};

/* Each takes a thread out of its sleep and returns it, or NULL if none is needed or none sleeps. The caller
 * passes it to bide_pool_wake after it has released the lock: otherwise the thread would wake up and wait for
 * the lock at once. */
struct bide_pool_thread *bide_pool_call_lander(struct bide_pool *pool);
/* Takes an idle thread; the lander only if no other thread sleeps. */
struct bide_pool_thread *bide_pool_call_one(struct bide_pool *pool);
/* Takes a thread if there are more ready jobs than the threads that are awake will soon run, if a job takes
 * as long as this handler's do. */
struct bide_pool_thread *bide_pool_call_for_ready(struct bide_pool *pool, const struct bide_handler *handler);
/* A job that was handed over to a program is back: it has ended, or has not begun. */
void bide_pool_take_from_program(struct bide_pool *pool, struct bide_job *job);
/* Called without the lock. NULL is fine. */
void bide_pool_wake(struct bide_pool_thread *thread);
/* Do the handler's latest runs end before another thread would be awake? */
bool bide_pool_is_quick(const struct bide_handler *handler);
/* Counts n (1 or -1) calls of a handler. `quick` must be the same for both. */
void bide_pool_count_calls(struct bide_pool *pool, bool quick, int n);
/* Counts messages that it runs, for the metrics. */
void bide_pool_count_messages(const struct bide_handler *handler, int n);
/* Passed to pthread_create with a struct bide_pool_thread: what the thread does all its life. Takes the lock
 * itself. */
void *bide_pool_thread_main(void *user);

/* Converts a time of the monotonic clock for pthread_cond_timedwait. */
static inline void bide_pool_fill_until(struct timespec *until, int64_t mono_us)
{
    until->tv_sec = (time_t)(mono_us / 1000000);
    until->tv_nsec = (long)(mono_us % 1000000) * 1000;
}

#endif
