#include "dispatch/pool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/alloc.h"
#include "dispatch/filling.h"
#include "dispatch/pool_inside.h"
#include "dispatch/program/host.h"

enum {
    TICK_US = 1000, /* after so long the intake corrects a wrong guess */
    STACK_BYTES = 1024 * 1024,
};

/* ---- creation and end ---- */

/* Makes an adaptive lock. It is held for less than a microsecond: so a thread that finds it taken tries a few
 * times before it sleeps. Sleeping and waking would cost more than a whole run. */
static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

static bide_code start_thread(struct bide_pool *pool, pthread_attr_t *attributes, bide_error *error)
{
    struct bide_pool_thread *thread = &pool->threads[pool->n_threads];
    thread->pool = pool;
    thread->index = pool->n_threads;
    thread->slot = pool->slots ? &pool->slots[thread->index] : NULL;
    init_cond(&thread->wake);
    bide_context_init(&thread->context, pool->clock);
    thread->call.apart = thread->slot ? pool->apart : NULL;
    int failed = pthread_create(&thread->id, attributes, bide_pool_thread_main, thread);
    if (failed) {
        pthread_cond_destroy(&thread->wake);
        return bide_fail(
            error, BIDE_E_INTERNAL, "cannot start thread %zu: %s", pool->n_threads + 1, strerror(failed));
    }
    pool->n_threads++;
    return BIDE_OK;
}

static bide_code start_threads(struct bide_pool *pool, size_t n, bide_error *error)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
    sigset_t others, before;
    pthread_attr_t attributes;
    bide_code code = BIDE_OK;
    sigfillset(&others);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&others, faults[i]); /* a blocked fault would end the process before it is noted */
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    pthread_mutex_lock(&pool->lock);
    while (pool->n_threads < n && code == BIDE_OK)
        code = start_thread(pool, &attributes, error);
    pthread_mutex_unlock(&pool->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return code;
}

bide_code bide_pool_create(
    const struct bide_pool_options *options, struct bide_pool **ret_pool, bide_error *error)
{
    struct bide_pool *pool = bide_calloc(1, sizeof *pool + options->threads * sizeof pool->threads[0]);
    if (!pool)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    init_lock(&pool->lock);
    init_cond(&pool->ended);
    pool->handlers = options->handlers;
    pool->wakeup = options->wakeup;
    pool->clock = options->clock;
    pool->slots = options->slots;
    pool->apart = options->apart;
    pool->metrics = options->metrics;
    pool->next_deadline_us = INT64_MAX;
    bide_code code = bide_board_init(&pool->board, options->queues, options->n_queues, options->order, error);
    if (code == BIDE_OK)
        code = start_threads(pool, options->threads, error);
    if (code != BIDE_OK) {
        bide_pool_stop(pool, INT64_MAX / 1000000);
        bide_pool_destroy(pool);
        return code;
    }
    bide_programs_attach(pool->handlers->programs, pool, pool->metrics);
    *ret_pool = pool;
    return BIDE_OK;
}

static bool all_ended(const struct bide_pool *pool)
{
    for (size_t i = 0; i < pool->n_threads; i++)
        if (!pool->threads[i].ended)
            return false;
    return true;
}

bool bide_pool_stop(struct bide_pool *pool, int64_t timeout_ms)
{
    struct timespec until;
    bide_pool_fill_until(&until, bide_mono_us(pool->clock) + timeout_ms * 1000);
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    for (size_t i = 0; i < pool->n_threads; i++) {
        pool->threads[i].idle = false;
        pthread_cond_signal(&pool->threads[i].wake);
    }
    int waited = 0;
    while (!all_ended(pool) && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&pool->ended, &pool->lock, &until);
    bool ended = all_ended(pool);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; ended && i < pool->n_threads; i++)
        pthread_join(pool->threads[i].id, NULL);
    return ended;
}

void bide_pool_destroy(struct bide_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < pool->n_threads; i++) {
        bide_context_close(&pool->threads[i].context);
        bide_call_release(&pool->threads[i].call);
        pthread_cond_destroy(&pool->threads[i].wake);
    }
    bide_board_clear(&pool->board);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->lock);
    bide_free(pool);
}

/* ---- calls of the intake ---- */

void bide_pool_submit(struct bide_pool *pool, struct bide_job_list *jobs, struct bide_job_list *refused)
{
    int64_t wall_us = bide_wall_us(pool->clock), mono_us = bide_mono_us(pool->clock);
    struct bide_job *job;
    struct bide_pool_thread *called = NULL;
    const struct bide_handler *slowest = NULL;
    if (!jobs->first)
        return;
    pthread_mutex_lock(&pool->lock);
    int64_t next_before_us = bide_board_next_us(&pool->board, wall_us, mono_us);
    while ((job = bide_job_pop(jobs))) {
        if (!slowest || job->handler->mean_us > slowest->mean_us)
            slowest = job->handler;
        if (!bide_board_add(&pool->board, job, wall_us, mono_us))
            bide_job_append(refused, job);
    }
    int64_t next_us = bide_board_next_us(&pool->board, wall_us, mono_us);
    if (next_us != next_before_us && pool->lander) /* the lander must look again */
        called = bide_pool_call_lander(pool);
    else if (next_us >= 0 && !pool->lander && pool->waking == 0)
        called = bide_pool_call_one(pool);
    else
        called = bide_pool_call_for_ready(pool, slowest);
    pthread_mutex_unlock(&pool->lock);
    bide_pool_wake(called);
}

/* Jobs were taken out of the board: a batch whose lead is gone needs another. */
static struct bide_pool_thread *call_for_fillings(struct bide_pool *pool, const struct bide_job_list *taken)
{
    bool looks = taken->n > 0 && bide_filling_next_us(&pool->board) != INT64_MAX;
    return looks && pool->waking == 0 ? bide_pool_call_one(pool) : NULL;
}

void bide_pool_collect(struct bide_pool *pool, int64_t grace_us, struct bide_job_list *to)
{
    int64_t limit_us = bide_wall_us(pool->clock) - grace_us;
    pthread_mutex_lock(&pool->lock);
    pool->intake_sleeps = false;
    struct bide_job_list overdue = {0};
    bide_board_withdraw_overdue(&pool->board, pool->handlers, limit_us, &overdue);
    struct bide_pool_thread *called = call_for_fillings(pool, &overdue);
    bide_job_append_all(to, &pool->done);
    bide_job_append_all(to, &overdue);
    pthread_mutex_unlock(&pool->lock);
    bide_pool_wake(called);
}

static bool any_job(const void *user, const struct bide_job *job)
{
    (void)user, (void)job;
    return true;
}

void bide_pool_withdraw(
    struct bide_pool *pool, bide_job_test *test, const void *user, struct bide_job_list *to)
{
    pthread_mutex_lock(&pool->lock);
    struct bide_job_list waiting = {0}, handed_over = {0};
    bide_board_withdraw(&pool->board, pool->handlers, test ? test : any_job, user, &waiting);
    struct bide_pool_thread *called = call_for_fillings(pool, &waiting);
    bide_programs_withdraw(pool->handlers->programs, test ? test : any_job, user, &handed_over);
    for (struct bide_job *job = handed_over.first; job; job = job->next)
        bide_pool_take_from_program(pool, job);
    bide_job_append_all(to, &waiting);
    bide_job_append_all(to, &handed_over);
    pthread_mutex_unlock(&pool->lock);
    bide_pool_wake(called);
}

/* Cancels runs beyond their timeout. Returns when to look again, for the next timeout or the end of a
 * kill_after (monotonic, INT64_MAX: never). */
static int64_t cancel_late_runs(struct bide_pool *pool, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    for (size_t i = 0; i < pool->n_threads; i++) {
        struct bide_pool_thread *thread = &pool->threads[i];
        if (!thread->inside)
            continue;
        int64_t then_us = thread->context.deadline_us;
        if (then_us <= now_us) {
            bide_context_time_out(&thread->context, now_us);
            then_us = thread->context.kill_us > now_us ? thread->context.kill_us : INT64_MAX;
        }
        if (then_us < next_us)
            next_us = then_us;
    }
    return next_us;
}

/* May finished jobs wait a tick, to be settled together with the next ones? */
static bool may_wait(const struct bide_pool *pool)
{
    bool busy = pool->running > 0 && pool->board.n_ready > 0;
    return pool->done.n < (busy ? BIDE_POOL_COLLECT_BATCH : pool->gather);
}

int64_t bide_pool_tick(struct bide_pool *pool, size_t patience)
{
    struct bide_pool_thread *called = NULL;
    int64_t now_us = bide_mono_us(pool->clock), wait_us = -1;
    pthread_mutex_lock(&pool->lock);
    bool moves = pool->taken != pool->taken_seen;
    pool->gather = moves ? patience : 0;
    if (now_us >= pool->next_deadline_us)
        pool->next_deadline_us = cancel_late_runs(pool, now_us);
    if (pool->next_deadline_us != INT64_MAX)
        wait_us = pool->next_deadline_us - now_us;
    bool waits = pool->board.n_ready > 0 && (pool->idle || pool->lander);
    if (waits && !moves && pool->waking == 0)
        called = bide_pool_call_one(pool);
    if ((waits || pool->done.first || pool->gather > 0) && (wait_us < 0 || wait_us > TICK_US))
        wait_us = TICK_US;
    if (pool->done.first && !may_wait(pool))
        wait_us = 0;
    pool->intake_sleeps = wait_us != 0;
    pool->taken_seen = pool->taken;
    pthread_mutex_unlock(&pool->lock);
    bide_pool_wake(called);
    return wait_us;
}

bool bide_pool_ran_dry(struct bide_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool dry = pool->ran_dry;
    pool->ran_dry = false;
    pthread_mutex_unlock(&pool->lock);
    return dry;
}

void bide_pool_stats(struct bide_pool *pool, struct bide_pool_stats *ret_stats)
{
    pthread_mutex_lock(&pool->lock);
    *ret_stats = (struct bide_pool_stats){
        .threads = pool->n_threads,
        .running = pool->running,
        .ready = pool->board.n_ready,
        .blocked = pool->board.n_blocked,
        .landing = pool->board.landing.size,
    };
    pthread_mutex_unlock(&pool->lock);
}

void bide_pool_cancel(struct bide_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < pool->n_threads; i++)
        if (pool->threads[i].inside)
            bide_context_cancel(&pool->threads[i].context);
    pthread_mutex_unlock(&pool->lock);
    bide_programs_cancel(pool->handlers->programs);
}

size_t bide_pool_find_hung(struct bide_pool *pool)
{
    int64_t now_us = bide_mono_us(pool->clock);
    size_t n = 0;
    if (!pool->slots)
        return 0;
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < pool->n_threads; i++) {
        struct bide_pool_thread *thread = &pool->threads[i];
        if (thread->inside && now_us >= thread->context.kill_us)
            n += bide_slot_give_up(thread->slot) ? thread->inside : 0;
    }
    pthread_mutex_unlock(&pool->lock);
    return n;
}
