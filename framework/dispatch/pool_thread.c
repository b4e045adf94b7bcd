/* The pool's threads: each takes a job, decides whether another thread must wake up, runs the job, and sleeps
 * when there is none. */
#include <stdio.h>
#include <sys/prctl.h>

#include "base/alloc.h"
#include "dispatch/pool_inside.h"

/* Waking another thread takes longer than a run of a handler with a mean below QUICK_US. Still, another
 * thread is woken for each HELP_US of quick work that a thread which is awake would have. */
enum { QUICK_US = 50, HELP_US = 2000 };

static void call(struct bide_pool_thread *thread)
{
    thread->idle = false;
    thread->pool->waking++;
}

struct bide_pool_thread *bide_pool_call_lander(struct bide_pool *pool)
{
    struct bide_pool_thread *thread = pool->lander;
    pool->lander = NULL;
    if (thread)
        call(thread);
    return thread;
}

struct bide_pool_thread *bide_pool_call_one(struct bide_pool *pool)
{
    struct bide_pool_thread *thread = pool->idle;
    if (!thread)
        return bide_pool_call_lander(pool);
    pool->idle = thread->next_idle;
    call(thread);
    return thread;
}

void bide_pool_wake(struct bide_pool_thread *thread)
{
    if (thread)
        pthread_cond_signal(&thread->wake);
}

static void wake_intake(struct bide_pool *pool)
{
    if (!pool->intake_sleeps)
        return;
    pool->intake_sleeps = false;
    bide_wakeup_signal(pool->wakeup);
}

/* Sleeps as the lander until the board has something to do by itself, or as an idle thread until it is woken.
 */
static void sleep_until_needed(struct bide_pool *pool, struct bide_pool_thread *thread)
{
    int64_t mono_us = bide_mono_us(pool->clock);
    int64_t next_us = bide_board_next_us(&pool->board, bide_wall_us(pool->clock), mono_us);
    bool lands = next_us >= 0 && !pool->lander;
    struct timespec until;
    thread->idle = true;
    if (lands) {
        pool->lander = thread;
        bide_pool_fill_until(&until, next_us);
        pthread_cond_timedwait(&thread->wake, &pool->lock, &until);
        if (pool->lander == thread)
            pool->lander = NULL;
        if (thread->idle) /* the time has come, and nobody woke it */
            thread->idle = false;
        else
            pool->waking--;
        return;
    }
    thread->next_idle = pool->idle;
    pool->idle = thread;
    while (thread->idle) /* bide_pool_call_one takes it from the stack and wakes it */
        pthread_cond_wait(&thread->wake, &pool->lock);
    pool->waking--;
}

bool bide_pool_is_quick(const struct bide_handler *handler)
{
    return handler->mean_us < QUICK_US;
}

/* Very short runs wake no further thread: two threads would wait for each other at the pool's lock, get no
 * more done than one, and use much more processor time. */
struct bide_pool_thread *bide_pool_call_for_ready(struct bide_pool *pool, const struct bide_handler *handler)
{
    size_t seen_to = pool->waking;
    if (bide_pool_is_quick(handler))
        seen_to = HELP_US / (size_t)(handler->mean_us + 1) * (pool->waking + pool->running_quick);
    return pool->board.n_ready > seen_to ? bide_pool_call_one(pool) : NULL;
}

/* Called by a thread that has taken a job: must another thread wake up? Always if a landing job waits,
 * because it would be late if this run takes longer than expected; for ready jobs, depending on how long this
 * handler usually takes. */
static struct bide_pool_thread *call_for_help(struct bide_pool *pool, const struct bide_handler *handler)
{
    if (!pool->lander && pool->idle && bide_board_next_us(&pool->board, 0, 0) >= 0)
        return bide_pool_call_one(pool);
    return bide_pool_call_for_ready(pool, handler);
}

void bide_pool_count_messages(const struct bide_handler *handler, int n)
{
    if (handler->metrics)
        bide_metrics_gauge_add(&handler->metrics->running, n);
}

void bide_pool_count_calls(struct bide_pool *pool, bool quick, int n)
{
    pool->running += (size_t)n;
    if (quick)
        pool->running_quick += (size_t)n;
    if (pool->metrics)
        bide_metrics_gauge_add(&pool->metrics->busy, n);
}

static void spare(struct bide_job *job)
{
    job->run =
        (struct bide_run){.outcome = BIDE_RETRY, .delay_ms = BIDE_BY_POLICY, .ran = true, .spared = true};
    job->run.error = bide_strdup("out of memory");
}

/* Prepares the thread's context or contexts. False without memory: then the jobs are spared. */
static bool begin_run(struct bide_pool_thread *thread, struct bide_job *job, int64_t wall_us, int64_t mono_us)
{
    if (!job->handler->batches) {
        bide_context_begin(&thread->context, job, wall_us, mono_us);
        return true;
    }
    if (bide_call_begin(&thread->call, &thread->context, job, wall_us, mono_us))
        return true;
    spare(job);
    for (struct bide_job *mate = job->mates.first; mate; mate = mate->next)
        spare(mate);
    return false;
}

/* Called without the lock. Returns when the run ended (monotonic). */
static int64_t run(struct bide_pool_thread *thread, struct bide_job *job)
{
    const struct bide_handler *handler = job->handler;
    if (handler->batches) {
        handler->runner->run_batch(handler, thread->index, &thread->call, thread->slot);
        return bide_call_end(&thread->call);
    }
    bide_outcome outcome =
        handler->runner->run(handler, thread->index, job->delivery->message, &thread->context, thread->slot);
    return bide_context_end(&thread->context, job, outcome);
}

/* Returns when the run ended (monotonic). */
static int64_t run_job(struct bide_pool *pool, struct bide_pool_thread *thread, struct bide_job *job,
    int64_t wall_us, int64_t mono_us)
{
    struct bide_handler *handler = job->handler;
    bool quick = bide_pool_is_quick(handler);
    size_t n = job->mates.n + 1;
    if (!begin_run(thread, job, wall_us, mono_us))
        return mono_us;
    if (thread->context.deadline_us < pool->next_deadline_us) {
        pool->next_deadline_us = thread->context.deadline_us;
        wake_intake(pool); /* rare: next_deadline_us stays when runs end before their deadline */
    }
    thread->inside = n;
    bide_pool_count_calls(pool, quick, 1);
    bide_pool_count_messages(handler, (int)n);
    pool->taken++;
    struct bide_pool_thread *helper = call_for_help(pool, handler);
    if (!quick && pool->done.first)
        wake_intake(pool); /* the finished jobs must not wait for this run */
    pthread_mutex_unlock(&pool->lock);
    bide_pool_wake(helper);

    int64_t ended_us = run(thread, job);

    pthread_mutex_lock(&pool->lock);
    thread->inside = 0;
    bide_pool_count_calls(pool, quick, -1);
    bide_pool_count_messages(handler, -(int)n);
    return ended_us;
}

/* Updates the handler's mean run time with the shorter of two successive runs: a run during which the thread
 * lost the processor for a while says nothing about the handler. */
static void learn(struct bide_handler *handler, int64_t took_us)
{
    int64_t counts_us = took_us < handler->last_us ? took_us : handler->last_us;
    handler->last_us = took_us;
    handler->mean_us += (counts_us - handler->mean_us) / 8;
}

/* Hands the job back: it belongs to the intake from here on. */
static void finish_job(struct bide_pool *pool, struct bide_job *job)
{
    struct bide_handler *handler = job->handler;
    struct bide_job_list mates = job->mates;
    learn(handler, job->run.took_us);
    bide_board_finished(&pool->board, handler);
    job->mates = (struct bide_job_list){0};
    bide_job_append(&pool->done, job);
    bide_job_append_all(&pool->done, &mates);
    if (!bide_pool_is_quick(handler) || pool->done.n >= BIDE_POOL_COLLECT_BATCH)
        wake_intake(pool);
}

/* The runner's own processes run the job; this thread takes the next one. */
static void hand_over(struct bide_pool *pool, struct bide_job *job)
{
    bide_pool_count_calls(pool, false, 1);
    bide_pool_count_messages(job->handler, (int)job->mates.n + 1);
    pool->taken++;
    struct bide_pool_thread *helper = call_for_help(pool, job->handler);
    pthread_mutex_unlock(&pool->lock);
    bide_pool_wake(helper);
    job->handler->runner->begin(job->handler, job);
    pthread_mutex_lock(&pool->lock);
}

void bide_pool_take_from_program(struct bide_pool *pool, struct bide_job *job)
{
    bool goes_on = job->call_goes_on;
    job->call_goes_on = false;
    bide_pool_count_messages(job->handler, -1);
    if (goes_on)
        return;
    bide_pool_count_calls(pool, false, -1);
    bide_board_finished(&pool->board, job->handler);
}

void bide_pool_finish(struct bide_pool *pool, struct bide_job *job)
{
    pthread_mutex_lock(&pool->lock);
    bide_pool_take_from_program(pool, job);
    bide_job_append(&pool->done, job);
    if (pool->done.n == 1 || pool->done.n >= BIDE_POOL_COLLECT_BATCH)
        wake_intake(pool);
    struct bide_pool_thread *called = pool->board.n_ready > pool->waking ? bide_pool_call_one(pool) : NULL;
    pthread_mutex_unlock(&pool->lock);
    bide_pool_wake(called);
}

void bide_pool_set_share(struct bide_pool *pool, struct bide_share *share, int most)
{
    pthread_mutex_lock(&pool->lock);
    bide_board_set_share(&pool->board, share, most);
    wake_intake(pool); /* the intake then leaves the messages of a program that is down in the broker */
    struct bide_pool_thread *called = pool->board.n_ready > pool->waking ? bide_pool_call_one(pool) : NULL;
    pthread_mutex_unlock(&pool->lock);
    bide_pool_wake(called);
}

static bool has_expired(const struct bide_job *job, int64_t wall_us)
{
    int64_t expires_ms = job->delivery->message->expires_ms;
    return expires_ms > 0 && wall_us > expires_ms * 1000;
}

bool bide_pool_is_late(const struct bide_job *job, int64_t mono_us)
{
    return job->begin_by_us > 0 && (mono_us > job->begin_by_us || mono_us < job->begin_from_us);
}

struct moment {
    const struct bide_clock *clock;
    int64_t wall_us;
};

static bool cannot_run(const void *user, const struct bide_job *job)
{
    const struct moment *now = user;
    return has_expired(job, now->wall_us) ||
           (job->begin_by_us > 0 && bide_pool_is_late(job, bide_mono_us(now->clock)));
}

struct bide_job *bide_pool_drop(
    struct bide_job *job, const struct bide_clock *clock, int64_t wall_us, struct bide_job_list *ret_dropped)
{
    const struct moment now = {clock, wall_us};
    job = bide_job_pick_from_call(job, cannot_run, &now, ret_dropped);
    for (struct bide_job *dropped = ret_dropped->first; dropped; dropped = dropped->next) {
        dropped->run.expired = has_expired(dropped, wall_us);
        dropped->run.late = !dropped->run.expired;
    }
    return job;
}

/* Hands back what does not run after all: it belongs to the intake from here on. Returns the first job of
 * what is left; NULL: nothing. */
static struct bide_job *drop_some(struct bide_pool *pool, struct bide_job *job, int64_t wall_us)
{
    struct bide_job_list dropped = {0};
    struct bide_handler *handler = job->handler;
    job = bide_pool_drop(job, pool->clock, wall_us, &dropped);
    if (!job)
        bide_board_finished(&pool->board, handler);
    for (const struct bide_job *one = dropped.first; one; one = one->next)
        if (one->run.late)
            wake_intake(pool);
    bide_job_append_all(&pool->done, &dropped);
    return job;
}

static void serve(struct bide_pool *pool, struct bide_pool_thread *thread)
{
    int64_t mono_us = bide_mono_us(pool->clock);
    while (!pool->stopping) {
        int64_t wall_us = bide_wall_us(pool->clock);
        struct bide_job *job = bide_board_take(&pool->board, wall_us, mono_us);
        if (job && !(job = drop_some(pool, job, wall_us)))
            continue;
        if (job && job->handler->runner->begin) {
            hand_over(pool, job);
            mono_us = bide_mono_us(pool->clock);
            continue;
        }
        if (job) {
            mono_us = run_job(pool, thread, job, wall_us, mono_us); /* the next run may begin at this time */
            finish_job(pool, job);
            continue;
        }
        pool->ran_dry = true;
        if (pool->done.first && pool->done.n >= pool->gather)
            wake_intake(pool);
        sleep_until_needed(pool, thread);
        mono_us = bide_mono_us(pool->clock);
    }
}

void *bide_pool_thread_main(void *user)
{
    struct bide_pool_thread *thread = user;
    struct bide_pool *pool = thread->pool;
    char name[16];
    snprintf(name, sizeof name, "bide-run-%zu", thread->index);
    pthread_setname_np(pthread_self(), name);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* the default, 50 µs, would be most of the lateness */
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
