#include "dispatch/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/alloc.h"
#include "dispatch/board.h"
#include "dispatch/context.h"

enum {
    QUICK_US = 50,       /* a mean below this: waking another thread would take longer than the run */
    QUICK_BACKLOG = 256, /* so many ready jobs a running thread are worth another thread all the same */
    COLLECT_BATCH = 64,  /* quick completions that wait before the intake is woken */
    TICK_US = 1000,      /* how soon a wrong guess is mended */
    STACK_BYTES = 1024 * 1024,
};

struct pool_thread {
    struct bide_pool *pool;
    size_t index;
    pthread_t id;
    pthread_cond_t wake; /* on the monotonic clock */
    struct pool_thread *next_idle;
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
    struct pool_thread *idle;   /* a stack: the one that slept last wakes first, the others stay cold */
    struct pool_thread *lander; /* sleeps until the next landing job is due */
    size_t n_idle;
    size_t running;
    uint64_t taken;      /* jobs ever taken; tells the tick whether anything moves */
    uint64_t taken_seen; /* by the last tick */
    bool intake_sleeps;
    bool ran_dry;
    bool stopping;
    int64_t next_deadline_us; /* of the running jobs, monotonic; a bound from below */
    size_t n_threads;         /* those that were started */
    struct pool_thread threads[];
};

/* ---- waking ---- */

static void wake_thread(struct pool_thread *thread)
{
    thread->idle = false;
    pthread_cond_signal(&thread->wake);
}

/* Wakes an idle thread; the lander only where no other one sleeps. */
static void wake_one(struct bide_pool *pool)
{
    struct pool_thread *thread = pool->idle;
    if (thread) {
        pool->idle = thread->next_idle;
        pool->n_idle--;
    } else {
        thread = pool->lander;
        pool->lander = NULL;
    }
    if (thread)
        wake_thread(thread);
}

static void wake_intake(struct bide_pool *pool)
{
    if (!pool->intake_sleeps)
        return;
    pool->intake_sleeps = false;
    bide_wakeup_signal(pool->wakeup);
}

static void fill_until(struct timespec *until, int64_t mono_us)
{
    until->tv_sec = (time_t)(mono_us / 1000000);
    until->tv_nsec = (long)(mono_us % 1000000) * 1000;
}

/* ---- a pool thread ---- */

/* Sleeps as the lander until the next due time, or as one of the idle until woken. */
static void sleep_until_needed(struct bide_pool *pool, struct pool_thread *thread)
{
    int64_t due_us = bide_board_next_due_us(&pool->board);
    bool lands = due_us >= 0 && !pool->lander;
    struct timespec until;
    thread->idle = true;
    if (lands) {
        pool->lander = thread;
        fill_until(&until, bide_mono_us(pool->clock) + due_us - bide_wall_us(pool->clock));
        pthread_cond_timedwait(&thread->wake, &pool->lock, &until);
        if (pool->lander == thread)
            pool->lander = NULL;
        thread->idle = false;
        return;
    }
    thread->next_idle = pool->idle;
    pool->idle = thread;
    pool->n_idle++;
    while (thread->idle) /* wake_one takes it from the stack */
        pthread_cond_wait(&thread->wake, &pool->lock);
}

static bool is_quick(const struct bide_handler *handler)
{
    return handler->mean_us < QUICK_US;
}

/* Having taken a job: does another thread have to come up? Always to land the next one, since a wrong guess
 * of this run's length would make that one late; for the ready ones behind it, by what this handler usually
 * takes. */
static void call_for_help(struct bide_pool *pool, const struct bide_job *job)
{
    if (!pool->lander && pool->idle && bide_board_next_due_us(&pool->board) >= 0)
        wake_one(pool);
    else if (pool->board.n_ready > (is_quick(job->handler) ? QUICK_BACKLOG * pool->running : 0))
        wake_one(pool);
}

/* n: 1 or -1 runs of the handler. */
static void count_running(struct bide_pool *pool, const struct bide_handler *handler, int n)
{
    pool->running += (size_t)n;
    if (pool->metrics)
        bide_metrics_gauge_add(&pool->metrics->busy, n);
    if (handler->metrics)
        bide_metrics_gauge_add(&handler->metrics->running, n);
}

static void run_job(struct bide_pool *pool, struct pool_thread *thread, struct bide_job *job, int64_t wall_us,
    int64_t mono_us)
{
    struct bide_handler *handler = job->handler;
    bide_context_begin(&thread->context, job, wall_us, mono_us);
    if (thread->context.deadline_us < pool->next_deadline_us) {
        pool->next_deadline_us = thread->context.deadline_us;
        wake_intake(pool); /* rarely: the bound stays when runs end before their deadline */
    }
    thread->inside = true;
    count_running(pool, handler, 1);
    pool->taken++;
    call_for_help(pool, job);
    if (!is_quick(handler) && pool->done.first)
        wake_intake(pool); /* what waits to be collected shall not wait for this run */
    pthread_mutex_unlock(&pool->lock);

    bide_outcome outcome =
        bide_handler_run(handler, thread->index, job->delivery->message, &thread->context, thread->slot);
    bide_context_end(&thread->context, job, outcome);

    pthread_mutex_lock(&pool->lock);
    thread->inside = false;
    count_running(pool, handler, -1);
}

/* The job is the intake's from here on. */
static void finish_job(struct bide_pool *pool, struct bide_job *job)
{
    struct bide_handler *handler = job->handler;
    handler->mean_us += (job->run.took_us - handler->mean_us) / 8;
    bide_board_finished(&pool->board, handler);
    bide_job_append(&pool->done, job);
    if (!is_quick(handler) || pool->done.n >= COLLECT_BATCH)
        wake_intake(pool);
}

/* Looked at here, at the last moment: a message expires when it has not begun to run by then. */
static bool has_expired(const struct bide_job *job, int64_t wall_us)
{
    int64_t expires_ms = job->delivery->message->expires_ms;
    return expires_ms > 0 && wall_us > expires_ms * 1000;
}

/* The job is the intake's from here on. */
static void drop_expired(struct bide_pool *pool, struct bide_job *job)
{
    job->run.expired = true;
    bide_board_finished(&pool->board, job->handler);
    bide_job_append(&pool->done, job);
}

static void serve(struct bide_pool *pool, struct pool_thread *thread)
{
    while (!pool->stopping) {
        int64_t wall_us = bide_wall_us(pool->clock), mono_us = bide_mono_us(pool->clock);
        struct bide_job *job = bide_board_take(&pool->board, wall_us, mono_us);
        if (job && has_expired(job, wall_us)) {
            drop_expired(pool, job);
            continue;
        }
        if (job) {
            run_job(pool, thread, job, wall_us, mono_us);
            finish_job(pool, job);
            continue;
        }
        pool->ran_dry = true;
        if (pool->done.first)
            wake_intake(pool);
        sleep_until_needed(pool, thread);
    }
}

static void *thread_main(void *user)
{
    struct pool_thread *thread = user;
    struct bide_pool *pool = thread->pool;
    char name[16];
    snprintf(name, sizeof name, "bide-run-%zu", thread->index);
    pthread_setname_np(pthread_self(), name);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* the default, 50 µs, is most of the lateness otherwise */
    if (thread->slot && bide_slot_watch_thread(thread->slot, NULL) != BIDE_OK)
        bide_log(BIDE_LOG_WARN, "a pool thread has no signal stack", BIDE_INT("thread", thread->index));
    pthread_mutex_lock(&pool->lock);
    serve(pool, thread);
    if (thread->slot)
        bide_slot_unwatch_thread();
    thread->ended = true;
    pthread_cond_broadcast(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ---- creation and end ---- */

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
    struct pool_thread *thread = &pool->threads[pool->n_threads];
    thread->pool = pool;
    thread->index = pool->n_threads;
    thread->slot = pool->slots ? &pool->slots[thread->index] : NULL;
    init_cond(&thread->wake);
    bide_context_init(&thread->context, pool->clock);
    int failed = pthread_create(&thread->id, attributes, thread_main, thread);
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
        sigdelset(&others, faults[i]); /* a blocked fault would end the process unnoted */
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
    pthread_mutex_init(&pool->lock, NULL);
    init_cond(&pool->ended);
    pool->handlers = options->handlers;
    pool->wakeup = options->wakeup;
    pool->clock = options->clock;
    pool->slots = options->slots;
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
    fill_until(&until, bide_mono_us(pool->clock) + timeout_ms * 1000);
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    for (size_t i = 0; i < pool->n_threads; i++)
        wake_thread(&pool->threads[i]);
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
        pthread_cond_destroy(&pool->threads[i].wake);
    }
    bide_board_clear(&pool->board);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->lock);
    bide_free(pool);
}

/* ---- the intake's calls ---- */

void bide_pool_submit(struct bide_pool *pool, struct bide_job_list *jobs, struct bide_job_list *refused)
{
    int64_t wall_us = bide_wall_us(pool->clock), mono_us = bide_mono_us(pool->clock);
    struct bide_job *job;
    if (!jobs->first)
        return;
    pthread_mutex_lock(&pool->lock);
    int64_t due_before_us = bide_board_next_due_us(&pool->board);
    while ((job = bide_job_pop(jobs)))
        if (!bide_board_add(&pool->board, job, wall_us, mono_us))
            bide_job_append(refused, job);
    int64_t due_us = bide_board_next_due_us(&pool->board);
    if (due_us != due_before_us && pool->lander) { /* an earlier one: it must look again */
        wake_thread(pool->lander);
        pool->lander = NULL;
    } else if (pool->board.n_ready > 0 || (due_us >= 0 && !pool->lander)) {
        wake_one(pool);
    }
    pthread_mutex_unlock(&pool->lock);
}

void bide_pool_collect(struct bide_pool *pool, struct bide_job_list *to)
{
    pthread_mutex_lock(&pool->lock);
    pool->intake_sleeps = false;
    bide_job_append_all(to, &pool->done);
    pthread_mutex_unlock(&pool->lock);
}

void bide_pool_withdraw_overdue(struct bide_pool *pool, int64_t grace_us, struct bide_job_list *to)
{
    pthread_mutex_lock(&pool->lock);
    bide_board_withdraw_overdue(&pool->board, bide_wall_us(pool->clock) - grace_us, to);
    pthread_mutex_unlock(&pool->lock);
}

void bide_pool_withdraw(struct bide_pool *pool, struct bide_handler *handler, struct bide_job_list *to)
{
    pthread_mutex_lock(&pool->lock);
    if (handler)
        bide_board_withdraw_handler(&pool->board, handler, to);
    else
        bide_board_withdraw_all(&pool->board, pool->handlers, to);
    pthread_mutex_unlock(&pool->lock);
}

/* Cancels runs beyond their timeout; says when the next one will be (monotonic, INT64_MAX: none). */
static int64_t cancel_late_runs(struct bide_pool *pool, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    for (size_t i = 0; i < pool->n_threads; i++) {
        struct pool_thread *thread = &pool->threads[i];
        if (!thread->inside)
            continue;
        int64_t then_us = thread->context.deadline_us;
        if (then_us <= now_us) {
            bide_context_cancel(&thread->context);
            then_us = thread->context.kill_us > now_us ? thread->context.kill_us : INT64_MAX;
        }
        if (then_us < next_us)
            next_us = then_us;
    }
    return next_us;
}

int64_t bide_pool_tick(struct bide_pool *pool)
{
    int64_t now_us = bide_mono_us(pool->clock), wait_us = -1;
    pthread_mutex_lock(&pool->lock);
    if (now_us >= pool->next_deadline_us)
        pool->next_deadline_us = cancel_late_runs(pool, now_us);
    if (pool->next_deadline_us != INT64_MAX)
        wait_us = pool->next_deadline_us - now_us;
    if (pool->board.n_ready > 0 && (pool->idle || pool->lander)) {
        if (pool->taken == pool->taken_seen)
            wake_one(pool);
        wait_us = TICK_US;
    }
    if (pool->done.first && (wait_us < 0 || wait_us > TICK_US)) /* see bide_pool_may_sleep */
        wait_us = TICK_US;
    pool->taken_seen = pool->taken;
    pthread_mutex_unlock(&pool->lock);
    return wait_us;
}

/* A few completions of a busy pool may wait (at most a tick) to be settled together. */
bool bide_pool_may_sleep(struct bide_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool busy = pool->running > 0 && pool->board.n_ready > 0 && pool->done.n < COLLECT_BATCH;
    bool sleeps = pool->intake_sleeps = !pool->done.first || busy;
    pthread_mutex_unlock(&pool->lock);
    return sleeps;
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
}

size_t bide_pool_find_hung(struct bide_pool *pool)
{
    int64_t now_us = bide_mono_us(pool->clock);
    size_t n = 0;
    if (!pool->slots)
        return 0;
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < pool->n_threads; i++) {
        struct pool_thread *thread = &pool->threads[i];
        if (thread->inside && now_us >= thread->context.kill_us)
            n += bide_slot_give_up(thread->slot);
    }
    pthread_mutex_unlock(&pool->lock);
    return n;
}
