/* dispatch/pool_inside.h: the inside of the pool, shared by pool.c (the intake's calls) and pool_thread.c
 * (what its threads do). What takes a pool or thread wants its lock held. */
#ifndef BIDE_DISPATCH_POOL_INSIDE_H
#define BIDE_DISPATCH_POOL_INSIDE_H

#include <pthread.h>
#include <time.h>

#include "dispatch/board.h"
#include "dispatch/context.h"
#include "dispatch/pool.h"

enum { BIDE_POOL_COLLECT_BATCH = 64 }; /* quick completions that wait before the intake is woken */

struct bide_pool_thread {
    struct bide_pool *pool;
    size_t index;
    pthread_t id;
    pthread_cond_t wake; /* on the monotonic clock */
    struct bide_pool_thread *next_idle;
    bool idle;   /* sleeps and is in no hurry */
    bool inside; /* a handler */
    bool ended;
    struct bide_slot *slot; /* NULL without a supervisor */
    struct bide_context context;
};

/* All fields but the constant ones are guarded by `lock`. */
struct bide_pool {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a thread has ended; monotonic */
    struct bide_board board;
    struct bide_handlers *handlers;
    const struct bide_wakeup *wakeup;
    const struct bide_clock *clock;
    struct bide_slot *slots;
    struct bide_metrics *metrics;
    struct bide_job_list done;
    struct bide_pool_thread *idle;   /* a stack: the one that slept last wakes first, the others stay cold */
    struct bide_pool_thread *lander; /* sleeps until the next landing job is due */
    size_t waking;                   /* threads that were woken and have not come to it yet */
    size_t running;
    size_t running_quick; /* of those, runs of quick handlers: their threads come back at once */
    uint64_t taken;       /* jobs ever taken; tells the tick whether anything moves */
    uint64_t taken_seen;  /* by the last tick */
    bool intake_sleeps;
    size_t gather; /* so many completions wake it when no more are to come; fewer may wait a tick */
    bool ran_dry;
    bool stopping;
    int64_t next_deadline_us; /* of the running jobs, monotonic; a bound from below */
    size_t n_threads;         /* those that were started */
    struct bide_pool_thread threads[];
};

/* Each takes a sleeping thread from where it sleeps, or returns NULL: none is needed, or none sleeps. The
 * caller hands it to bide_pool_wake once the lock is released, or it would wake up only to wait for that. */
struct bide_pool_thread *bide_pool_call_lander(struct bide_pool *pool);
/* An idle one; the lander only where no other one sleeps. */
struct bide_pool_thread *bide_pool_call_one(struct bide_pool *pool);
/* One more where the ready jobs, which take as long as this handler's, are more than those that are awake
 * will see to soon. */
struct bide_pool_thread *bide_pool_call_for_ready(struct bide_pool *pool, const struct bide_handler *handler);
/* Without the lock. NULL is fine. */
void bide_pool_wake(struct bide_pool_thread *thread);
/* As far as its latest runs tell, a run is over sooner than another thread would be awake. */
bool bide_pool_is_quick(const struct bide_handler *handler);
/* n: 1 or -1 runs of the handler. quick: the same at both ends. */
void bide_pool_count_running(struct bide_pool *pool, const struct bide_handler *handler, bool quick, int n);
/* Of pthread_create: a thread's life, with its struct bide_pool_thread. Takes the lock itself. */
void *bide_pool_thread_main(void *user);

/* A moment of the monotonic clock, as pthread_cond_timedwait wants it. */
static inline void bide_pool_fill_until(struct timespec *until, int64_t mono_us)
{
    until->tv_sec = (time_t)(mono_us / 1000000);
    until->tv_nsec = (long)(mono_us % 1000000) * 1000;
}

#endif
