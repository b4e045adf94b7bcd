/* dispatch/pool.h: with real threads. */
#include "made_jobs.h"

#include <poll.h>
#include <stdatomic.h>
#include <time.h>

#include "dispatch/pool.h"
#include "support/deadline.h"
#include "support/fake_clock.h"

static _Atomic int runs_now, runs_most, runs_all;

static int64_t mono_us(void)
{
    return bide_mono_us(bide_clock_system());
}

static bide_outcome nothing(void *state, const bide_message *message, bide_context *context)
{
    (void)state, (void)message, (void)context;
    atomic_fetch_add(&runs_all, 1);
    return BIDE_DONE;
}

static bide_outcome until_cancelled(void *state, const bide_message *message, bide_context *context)
{
    (void)state, (void)message;
    struct pollfd fd = {.fd = bide_cancel_fd(context), .events = POLLIN};
    assert_int_equal(bide_remaining_ms(context) > 60 ? 0 : 1, 1);
    int got = poll(&fd, 1, 60000);
    return got == 1 && bide_cancelled(context) ? bide_retry(context, 5, "gave up after %d", 1) : BIDE_DONE;
}

/* Runs until another thread has come in as well, or twenty seconds have passed. */
static bide_outcome meet(void *state, const bide_message *message, bide_context *context)
{
    (void)state, (void)message, (void)context;
    int now = atomic_fetch_add(&runs_now, 1) + 1;
    int64_t give_up_us = mono_us() + 20 * 1000000;
    while (atomic_load(&runs_most) < 4 && mono_us() < give_up_us)
        if (now > atomic_load(&runs_most))
            atomic_store(&runs_most, now);
        else
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    atomic_fetch_sub(&runs_now, 1);
    atomic_fetch_add(&runs_all, 1);
    return BIDE_DONE;
}

struct rig {
    struct bide_handler_config config;
    struct bide_plugin plugin;
    struct bide_handler handler;
    struct bide_handlers handlers;
    void *state;
    struct bide_wakeup wakeup;
    struct bide_pool *pool;
    const struct bide_clock *clock; /* NULL: the system's */
    struct bide_slot *slots;
};

static void rig_up(struct rig *rig, size_t threads,
    bide_outcome (*handle)(void *, const bide_message *, bide_context *), int64_t timeout_ms)
{
    *rig = (struct rig){.config = plain, .clock = rig->clock, .slots = rig->slots};
    rig->config.timeout_ms = timeout_ms;
    rig->plugin.descriptor.name = "x";
    rig->plugin.descriptor.handle = handle;
    rig->handler = (struct bide_handler){.runner = &bide_thread_runner,
        .config = &rig->config,
        .plugin = &rig->plugin,
        .states = &rig->state,
        .mean_us = 1000};
    rig->handlers = (struct bide_handlers){.rows = &rig->handler, .n = 1};
    assert_int_equal(bide_wakeup_init(&rig->wakeup, NULL), BIDE_OK);
    const struct bide_pool_options options = {.threads = threads,
        .queues = two_queues,
        .n_queues = 2,
        .handlers = &rig->handlers,
        .wakeup = &rig->wakeup,
        .slots = rig->slots,
        .clock = rig->clock ? rig->clock : bide_clock_system()};
    assert_int_equal(bide_pool_create(&options, &rig->pool, NULL), BIDE_OK);
    atomic_store(&runs_now, 0);
    atomic_store(&runs_most, 0);
    atomic_store(&runs_all, 0);
}

/* On a fake clock the pool does not wait. */
static bool has_stopped(void *pool)
{
    return bide_pool_stop(pool, 100);
}

static void rig_down(struct rig *rig)
{
    assert_true(wait_until(has_stopped, rig->pool, 60000));
    bide_pool_destroy(rig->pool);
    bide_wakeup_close(&rig->wakeup);
}

/* Waits as the intake does until n jobs have come back. */
static void collect(struct rig *rig, size_t n, struct bide_job_list *all)
{
    int64_t give_up_us = mono_us() + 60 * 1000000;
    while (all->n < n && mono_us() < give_up_us) {
        bide_pool_collect(rig->pool, 1000000, all);
        int64_t tick_us = bide_pool_tick(rig->pool, 0);
        struct pollfd fd = {.fd = rig->wakeup.fd, .events = POLLIN};
        if (all->n < n && tick_us != 0)
            poll(&fd, 1, tick_us < 0 ? 1000 : (int)(tick_us / 1000 + 1));
        bide_wakeup_drain(&rig->wakeup);
    }
    assert_int_equal(all->n, n);
}

static void test_pool_runs_everything_once(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 4, nothing, 0);
    for (int i = 0; i < 20000; i++)
        bide_job_append(&jobs, &make(&rig.handler, (size_t)i % 2, 0)->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    assert_int_equal(refused.n, 0);
    collect(&rig, 20000, &done);
    assert_int_equal(atomic_load(&runs_all), 20000);
    free_all(&done);
    rig_down(&rig);
}

/* Four jobs of a handler that is believed quick and is not: the tick has to find out. */
static void four_meet(bool at_once)
{
    struct rig rig = {0};
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 4, meet, 0);
    rig.handler.mean_us = 1;
    for (int i = 0; i < 4; i++) {
        bide_job_append(&jobs, &make(&rig.handler, 0, 0)->job);
        if (!at_once || i == 3)
            bide_pool_submit(rig.pool, &jobs, &refused);
    }
    collect(&rig, 4, &done);
    assert_int_equal(atomic_load(&runs_most), 4);
    free_all(&done);
    rig_down(&rig);
}

static void test_slow_jobs_get_every_thread(void **state)
{
    (void)state;
    four_meet(true);
}

static void test_slow_jobs_one_by_one_get_every_thread(void **state)
{
    (void)state;
    four_meet(false);
}

static void test_pool_lands_on_time(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 2, nothing, 0);
    int64_t now_ms = bide_wall_ms(bide_clock_system());
    for (int i = 0; i < 200; i++)
        bide_job_append(&jobs, &make(&rig.handler, 0, now_ms + 50 + (i * 7919) % 300)->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    collect(&rig, 200, &done);
    for (struct bide_job *job = done.first; job; job = job->next)
        assert_between(job->run.started_us - job->delivery->message->due_ms * 1000, 0, 100000);
    free_all(&done);
    rig_down(&rig);
}

static void test_timeout_cancels(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 1, until_cancelled, 50);
    bide_job_append(&jobs, &make(&rig.handler, 0, 0)->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    collect(&rig, 1, &done);
    assert_int_equal(done.first->run.outcome, BIDE_RETRY);
    assert_true(done.first->run.timed_out);
    assert_int_equal(done.first->run.delay_ms, 5);
    assert_string_equal(done.first->run.error, "gave up after 1");
    assert_between(done.first->run.took_us, 50000, 60 * 1000000);
    free_all(&done);
    rig_down(&rig);
}

static _Atomic bool may_return;

static bide_outcome until_released(void *state, const bide_message *message, bide_context *context)
{
    (void)state, (void)message, (void)context;
    struct deadline deadline = deadline_in_ms(60000);
    atomic_store(&runs_now, 1);
    while (!atomic_load(&may_return) && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    return BIDE_DONE;
}

static bool runs(void *user)
{
    (void)user;
    return atomic_load(&runs_now) == 1;
}

/* The process was stopped, or the broker made the intake wait, for longer than timeout and kill_after: the
 * run still gets its kill_after from the moment it is told. */
static void test_hung_is_who_was_told(void **state)
{
    (void)state;
    struct fake_clock fake;
    struct bide_slot slot = {0};
    struct rig rig = {.clock = &fake.clock, .slots = &slot};
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    fake_clock_init(&fake, 1000);
    atomic_store(&may_return, false);
    rig_up(&rig, 1, until_released, 1000);
    rig.config.kill_after_ms = 500;
    bide_job_append(&jobs, &make(&rig.handler, 0, 0)->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    assert_true(wait_until(runs, NULL, 60000));
    fake_clock_advance_ms(&fake, 60000);
    assert_int_equal(bide_pool_find_hung(rig.pool), 0);
    assert_int_equal(bide_pool_tick(rig.pool, 0), 500 * 1000); /* cancels */
    assert_int_equal(bide_pool_find_hung(rig.pool), 0);
    fake_clock_advance_ms(&fake, 499);
    assert_int_equal(bide_pool_find_hung(rig.pool), 0);
    fake_clock_advance_ms(&fake, 1);
    assert_int_equal(bide_pool_find_hung(rig.pool), 1);
    atomic_store(&may_return, true);
    collect(&rig, 1, &done);
    free_all(&done);
    rig_down(&rig);
}

static bool all_have_run(void *user)
{
    struct bide_pool_stats stats;
    bide_pool_stats(((struct rig *)user)->pool, &stats);
    return stats.running + stats.ready == 0;
}

/* While runs follow each other a few ends wait for more; once nothing moves they are collected. */
static void test_quick_ends_may_wait_a_tick(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct bide_job_list jobs = {0}, refused = {0}, all = {0};
    rig_up(&rig, 1, nothing, 0);
    rig.handler.mean_us = 0;
    for (int i = 0; i < 3; i++)
        bide_job_append(&jobs, &make(&rig.handler, 0, 0)->job);
    assert_int_equal(bide_pool_tick(rig.pool, 16), -1);
    bide_pool_submit(rig.pool, &jobs, &refused);
    assert_true(wait_until(all_have_run, &rig, 60000));
    assert_int_equal(bide_pool_tick(rig.pool, 16), 1000);
    assert_int_equal(bide_pool_tick(rig.pool, 16), 0);
    bide_pool_collect(rig.pool, 1000000, &all);
    assert_int_equal(all.n, 3);
    assert_int_equal(bide_pool_tick(rig.pool, 16), -1);
    free_all(&all);
    rig_down(&rig);
}

static void test_withdrawn_jobs_did_not_run(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct bide_job_list jobs = {0}, refused = {0}, back = {0};
    rig_up(&rig, 1, nothing, 0);
    int64_t far_ms = bide_wall_ms(bide_clock_system()) + 60000;
    for (int i = 0; i < 10; i++)
        bide_job_append(&jobs, &make(&rig.handler, 0, far_ms + i)->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    bide_pool_collect(rig.pool, 0, &back);
    assert_int_equal(back.n, 0);
    bide_pool_withdraw(rig.pool, NULL, NULL, &back);
    assert_int_equal(back.n, 10);
    assert_false(back.first->run.ran);
    free_all(&back);
    rig_down(&rig);
}

static void test_expired_is_not_run(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 1, nothing, 0);
    struct made *made = make(&rig.handler, 0, 1);
    made->message.expires_ms = 2;
    bide_job_append(&jobs, &made->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    collect(&rig, 1, &done);
    assert_true(done.first->run.expired);
    assert_false(done.first->run.ran);
    assert_int_equal(atomic_load(&runs_all), 0);
    free_all(&done);
    rig_down(&rig);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pool_runs_everything_once),
    cmocka_unit_test(test_slow_jobs_get_every_thread),
    cmocka_unit_test(test_slow_jobs_one_by_one_get_every_thread),
    cmocka_unit_test(test_pool_lands_on_time),
    cmocka_unit_test(test_timeout_cancels),
    cmocka_unit_test(test_hung_is_who_was_told),
    cmocka_unit_test(test_quick_ends_may_wait_a_tick),
    cmocka_unit_test(test_withdrawn_jobs_did_not_run),
    cmocka_unit_test(test_expired_is_not_run),
};

UNIT_MAIN(tests)
