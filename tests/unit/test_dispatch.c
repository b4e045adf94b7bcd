/* dispatch/: the board on a virtual clock, the pool with real threads, the prefetch arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dispatch/board.h"
#include "dispatch/pool.h"
#include "support/deadline.h"
#include "worker/prefetch.h"

/* ---- made-up jobs ---- */

struct made {
    struct bide_job job;
    struct bide_delivery delivery;
    struct bide_message message;
};

static struct made *make(struct bide_handler *handler, size_t queue, int64_t due_ms)
{
    struct made *made = calloc(1, sizeof *made);
    assert_non_null(made);
    made->message.due_ms = due_ms;
    made->message.id = made->message.type = made->message.queue = "x";
    made->message.attempt = 1;
    made->delivery.message = &made->message;
    made->delivery.queue = queue;
    made->job.delivery = &made->delivery;
    made->job.handler = handler;
    return made;
}

static struct bide_handler_config plain = {.type = (char[]){"x"}};

static const struct bide_queue_config two_queues[] = {
    {.name = (char[]){"bulk"}, .weight = 1}, {.name = (char[]){"critical"}, .weight = 9}};

/* ---- board ---- */

static size_t take_and_free(struct bide_board *board, int64_t now_us)
{
    struct bide_job *job = bide_board_take(board, now_us, now_us);
    if (!job)
        return SIZE_MAX;
    size_t queue = job->delivery->queue;
    bide_board_finished(board, job->handler);
    free(job);
    return queue;
}

static void test_weighted_is_in_proportion(void **state)
{
    (void)state;
    struct bide_board board;
    struct bide_handler handler = {.config = &plain};
    assert_int_equal(bide_board_init(&board, two_queues, 2, BIDE_ORDER_WEIGHTED, NULL), BIDE_OK);
    for (int i = 0; i < 200; i++)
        assert_true(bide_board_add(&board, &make(&handler, (size_t)i % 2, 0)->job, 1, 1));
    int served[2] = {0};
    for (int i = 0; i < 100; i++)
        served[take_and_free(&board, 1)]++;
    assert_int_equal(served[0], 10);
    assert_int_equal(served[1], 90);
    for (int i = 0; i < 100; i++) /* one queue alone gets everything */
        assert_int_not_equal(take_and_free(&board, 1), SIZE_MAX);
    assert_int_equal(take_and_free(&board, 1), SIZE_MAX);
    bide_board_clear(&board);
}

static void test_strict_takes_the_first_queue_first(void **state)
{
    (void)state;
    struct bide_board board;
    struct bide_handler handler = {.config = &plain};
    assert_int_equal(bide_board_init(&board, two_queues, 2, BIDE_ORDER_STRICT, NULL), BIDE_OK);
    for (int i = 0; i < 10; i++)
        assert_true(bide_board_add(&board, &make(&handler, (size_t)i % 2, 0)->job, 1, 1));
    for (int i = 0; i < 10; i++)
        assert_int_equal(take_and_free(&board, 1), i < 5 ? 0 : 1);
    bide_board_clear(&board);
}

static void test_landing_is_never_early_and_in_order(void **state)
{
    (void)state;
    struct bide_board board;
    struct bide_handler handler = {.config = &plain};
    assert_int_equal(bide_board_init(&board, two_queues, 2, BIDE_ORDER_WEIGHTED, NULL), BIDE_OK);
    int64_t now_us = INT64_C(1700000000) * 1000000;
    for (int i = 0; i < 30 * 24; i++) { /* thirty days, an hour apart, added backwards */
        int64_t due_ms = now_us / 1000 + (30 * 24 - i) * INT64_C(3600000);
        assert_true(bide_board_add(&board, &make(&handler, 0, due_ms)->job, now_us, 0));
    }
    for (int i = 0; i < 30 * 24; i++) {
        int64_t due_us = bide_board_next_due_us(&board);
        assert_null(bide_board_take(&board, due_us - 1, 0));
        struct bide_job *job = bide_board_take(&board, due_us, 0);
        assert_non_null(job);
        assert_int_equal(job->delivery->message->due_ms * 1000, due_us);
        bide_board_finished(&board, &handler);
        free(job);
    }
    assert_int_equal(bide_board_next_due_us(&board), -1);
    bide_board_clear(&board);
}

static void test_due_goes_before_ready(void **state)
{
    (void)state;
    struct bide_board board;
    struct bide_handler handler = {.config = &plain};
    assert_int_equal(bide_board_init(&board, two_queues, 2, BIDE_ORDER_WEIGHTED, NULL), BIDE_OK);
    struct made *ready = make(&handler, 0, 0), *early = make(&handler, 0, 10);
    assert_true(bide_board_add(&board, &ready->job, 5000, 5000));
    assert_true(bide_board_add(&board, &early->job, 5000, 5000));
    assert_ptr_equal(bide_board_take(&board, 12000, 12000), &early->job);
    assert_int_equal(early->job.ready_us, 10000); /* the wait counts from due */
    assert_ptr_equal(bide_board_take(&board, 12000, 12000), &ready->job);
    free(ready);
    free(early);
    bide_board_clear(&board);
}

static void test_concurrency_holds_back_only_its_handler(void **state)
{
    (void)state;
    struct bide_board board;
    struct bide_handler_config one_config = {.type = (char[]){"one"}, .concurrency = 1};
    struct bide_handler one = {.config = &one_config}, free_one = {.config = &plain};
    assert_int_equal(bide_board_init(&board, two_queues, 2, BIDE_ORDER_WEIGHTED, NULL), BIDE_OK);
    struct made *first = make(&one, 0, 0), *second = make(&one, 0, 0), *other = make(&free_one, 0, 0);
    assert_true(bide_board_add(&board, &first->job, 1, 1));
    assert_true(bide_board_add(&board, &second->job, 1, 1));
    assert_true(bide_board_add(&board, &other->job, 1, 1));
    assert_ptr_equal(bide_board_take(&board, 1, 1), &first->job);
    assert_ptr_equal(bide_board_take(&board, 1, 1), &other->job);
    assert_null(bide_board_take(&board, 1, 1));
    assert_int_equal(board.n_blocked, 1);
    bide_board_finished(&board, &one);
    assert_ptr_equal(bide_board_take(&board, 1, 1), &second->job);
    free(first);
    free(second);
    free(other);
    bide_board_clear(&board);
}

/* ---- pool ---- */

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
    int got = poll(&fd, 1, 5000);
    return got == 1 && bide_cancelled(context) ? bide_retry(context, 5, "gave up after %d", 1) : BIDE_DONE;
}

/* Runs until another thread has come in as well, or a second has passed. */
static bide_outcome meet(void *state, const bide_message *message, bide_context *context)
{
    (void)state, (void)message, (void)context;
    int now = atomic_fetch_add(&runs_now, 1) + 1;
    int64_t give_up_us = mono_us() + 1000000;
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
};

static void rig_up(struct rig *rig, size_t threads,
    bide_outcome (*handle)(void *, const bide_message *, bide_context *), int64_t timeout_ms)
{
    *rig = (struct rig){.config = plain};
    rig->config.timeout_ms = timeout_ms;
    rig->plugin.descriptor.handle = handle;
    rig->handler = (struct bide_handler){
        .config = &rig->config, .plugin = &rig->plugin, .states = &rig->state, .mean_us = 1000};
    rig->handlers = (struct bide_handlers){.rows = &rig->handler, .n = 1};
    assert_int_equal(bide_wakeup_init(&rig->wakeup, NULL), BIDE_OK);
    const struct bide_pool_options options = {.threads = threads,
        .queues = two_queues,
        .n_queues = 2,
        .handlers = &rig->handlers,
        .wakeup = &rig->wakeup,
        .clock = bide_clock_system()};
    assert_int_equal(bide_pool_create(&options, &rig->pool, NULL), BIDE_OK);
    atomic_store(&runs_now, 0);
    atomic_store(&runs_most, 0);
    atomic_store(&runs_all, 0);
}

static void rig_down(struct rig *rig)
{
    assert_true(bide_pool_stop(rig->pool, 5000));
    bide_pool_destroy(rig->pool);
    bide_wakeup_close(&rig->wakeup);
}

/* Waits as the intake does until n jobs have come back. */
static void collect(struct rig *rig, size_t n, struct bide_job_list *all)
{
    int64_t give_up_us = mono_us() + 20 * 1000000;
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

static void free_all(struct bide_job_list *jobs)
{
    struct bide_job *job;
    while ((job = bide_job_pop(jobs))) {
        free(job->run.error);
        free(job);
    }
}

static void test_pool_runs_everything_once(void **state)
{
    (void)state;
    struct rig rig;
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
    struct rig rig;
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
    struct rig rig;
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 2, nothing, 0);
    int64_t now_ms = bide_wall_ms(bide_clock_system());
    for (int i = 0; i < 200; i++)
        bide_job_append(&jobs, &make(&rig.handler, 0, now_ms + 50 + (i * 7919) % 300)->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    collect(&rig, 200, &done);
    for (struct bide_job *job = done.first; job; job = job->next)
        assert_in_range(job->run.started_us - job->delivery->message->due_ms * 1000, 0, 100000);
    free_all(&done);
    rig_down(&rig);
}

static void test_timeout_cancels(void **state)
{
    (void)state;
    struct rig rig;
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 1, until_cancelled, 50);
    bide_job_append(&jobs, &make(&rig.handler, 0, 0)->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    collect(&rig, 1, &done);
    assert_int_equal(done.first->run.outcome, BIDE_RETRY);
    assert_true(done.first->run.timed_out);
    assert_int_equal(done.first->run.delay_ms, 5);
    assert_string_equal(done.first->run.error, "gave up after 1");
    assert_in_range(done.first->run.took_us, 50000, 4000000);
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
    struct rig rig;
    struct bide_job_list jobs = {0}, refused = {0}, all = {0};
    rig_up(&rig, 1, nothing, 0);
    rig.handler.mean_us = 0;
    for (int i = 0; i < 3; i++)
        bide_job_append(&jobs, &make(&rig.handler, 0, 0)->job);
    assert_int_equal(bide_pool_tick(rig.pool, 16), -1);
    bide_pool_submit(rig.pool, &jobs, &refused);
    assert_true(wait_until(all_have_run, &rig, 5000));
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
    struct rig rig;
    struct bide_job_list jobs = {0}, refused = {0}, back = {0};
    rig_up(&rig, 1, nothing, 0);
    int64_t far_ms = bide_wall_ms(bide_clock_system()) + 60000;
    for (int i = 0; i < 10; i++)
        bide_job_append(&jobs, &make(&rig.handler, 0, far_ms + i)->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    bide_pool_collect(rig.pool, 0, &back);
    assert_int_equal(back.n, 0);
    bide_pool_withdraw(rig.pool, NULL, &back);
    assert_int_equal(back.n, 10);
    assert_false(back.first->run.ran);
    free_all(&back);
    rig_down(&rig);
}

static void test_expired_is_not_run(void **state)
{
    (void)state;
    struct rig rig;
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

/* ---- prefetch ---- */

static void test_prefetch_grows_and_shrinks(void **state)
{
    (void)state;
    struct bide_prefetch prefetch;
    int64_t now_us = 0;
    bide_prefetch_init(&prefetch, 0, 4);
    assert_int_equal(prefetch.limit, 8);
    for (int round = 0; round < 20; round++) { /* dry, at the limit, short waits: grows to the maximum */
        size_t n = prefetch.limit;
        bide_prefetch_took(&prefetch, n);
        for (size_t i = 0; i < n; i++)
            bide_prefetch_gave(&prefetch, 100);
        bide_prefetch_adapt(&prefetch, true, now_us += 10000);
    }
    assert_int_equal(prefetch.limit, BIDE_PREFETCH_MAX);
    for (int round = 0; round < 20; round++) { /* long waits: back to where it began */
        bide_prefetch_took(&prefetch, 1);
        bide_prefetch_gave(&prefetch, 500000);
        bide_prefetch_adapt(&prefetch, true, now_us += 300000);
    }
    assert_int_equal(prefetch.limit, 8);
    assert_int_equal(prefetch.held, 0);
}

static void test_prefetch_configured_stays(void **state)
{
    (void)state;
    struct bide_prefetch prefetch;
    bide_prefetch_init(&prefetch, 3, 4);
    bide_prefetch_took(&prefetch, 3);
    assert_false(bide_prefetch_adapt(&prefetch, true, 1000000));
    assert_int_equal(prefetch.limit, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weighted_is_in_proportion),
        cmocka_unit_test(test_strict_takes_the_first_queue_first),
        cmocka_unit_test(test_landing_is_never_early_and_in_order),
        cmocka_unit_test(test_due_goes_before_ready),
        cmocka_unit_test(test_concurrency_holds_back_only_its_handler),
        cmocka_unit_test(test_pool_runs_everything_once),
        cmocka_unit_test(test_slow_jobs_get_every_thread),
        cmocka_unit_test(test_slow_jobs_one_by_one_get_every_thread),
        cmocka_unit_test(test_pool_lands_on_time),
        cmocka_unit_test(test_timeout_cancels),
        cmocka_unit_test(test_quick_ends_may_wait_a_tick),
        cmocka_unit_test(test_withdrawn_jobs_did_not_run),
        cmocka_unit_test(test_expired_is_not_run),
        cmocka_unit_test(test_prefetch_grows_and_shrinks),
        cmocka_unit_test(test_prefetch_configured_stays),
    };
    return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
