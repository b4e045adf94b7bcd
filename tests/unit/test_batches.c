/* shared/apart.h, and batches on the threads of a pool. */
#include "made_jobs.h"

#include <poll.h>
#include <stdatomic.h>

#include "dispatch/pool.h"
#include "shared/apart.h"
#include "support/deadline.h"

enum { BATCH = 4, WAIT_US = 200 * 1000, QUEUE = 0 };

static struct bide_handler_config config = {
    .type = (char[]){"x"}, .batch = BATCH, .batch_wait_ms = WAIT_US / 1000};

/* ---- apart ---- */

static void test_what_a_dead_process_noted_stays(void **state)
{
    (void)state;
    struct bide_apart *apart = calloc(1, sizeof *apart);
    assert_non_null(apart);
    assert_false(bide_apart_has(apart, "a"));
    bide_apart_add(apart, "a", 7);
    bide_apart_add(apart, "a", 7);
    bide_apart_add(apart, "b", 8);
    bide_apart_add(apart, "c", 0);
    bide_apart_remove(apart, "a", 8);
    assert_true(bide_apart_has(apart, "a") && bide_apart_has(apart, "b") && bide_apart_has(apart, "c"));
    bide_apart_remove(apart, "a", 7);
    assert_false(bide_apart_has(apart, "a"));
    bide_apart_forget(apart, 8);
    assert_false(bide_apart_has(apart, "b"));
    bide_apart_remove(apart, "c", BIDE_APART_ANYBODY);
    assert_false(bide_apart_has(apart, "c"));
    free(apart);
}

/* More than there is room for: the last ones are known. */
static void test_the_latest_are_known_when_it_is_full(void **state)
{
    (void)state;
    struct bide_apart *apart = calloc(1, sizeof *apart);
    assert_non_null(apart);
    char id[24];
    for (int i = 0; i < 3 * BIDE_APART_SETS * BIDE_APART_WAYS; i++) {
        snprintf(id, sizeof id, "%d", i);
        bide_apart_add(apart, id, 1);
        assert_true(bide_apart_has(apart, id));
    }
    free(apart);
}

/* ---- on threads ---- */

static _Atomic int calls, messages;

static void each_has_its_outcome(void *state, const bide_message *const all[], bide_context *const contexts[],
    size_t n, bide_outcome outcomes[])
{
    (void)state;
    atomic_fetch_add(&calls, 1);
    atomic_fetch_add(&messages, (int)n);
    for (size_t i = 0; i < n; i++) {
        assert_non_null(all[i]);
        if (all[i]->attempt == 1)
            outcomes[i] = BIDE_DONE;
        else if (all[i]->attempt == 2)
            outcomes[i] = bide_retry(contexts[i], 7, "the second");
        else if (all[i]->attempt == 3)
            outcomes[i] = bide_dead(contexts[i], "the third");
    } /* the fourth gets none */
}

static void until_cancelled(void *state, const bide_message *const all[], bide_context *const contexts[],
    size_t n, bide_outcome outcomes[])
{
    (void)state, (void)all;
    struct pollfd fd = {.fd = bide_cancel_fd(contexts[n - 1]), .events = POLLIN};
    int got = poll(&fd, 1, 10000);
    for (size_t i = 0; i < n; i++)
        outcomes[i] = got == 1 && bide_cancelled(contexts[i]) && bide_remaining_ms(contexts[i]) == 0
                          ? BIDE_RETRY
                          : BIDE_DONE;
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
    void (*handle_batch)(void *, const bide_message *const *, bide_context *const *, size_t, bide_outcome *),
    int64_t timeout_ms)
{
    *rig = (struct rig){.config = config};
    rig->config.timeout_ms = timeout_ms;
    rig->config.batch_wait_ms = 20;
    rig->plugin.descriptor.name = "x";
    rig->plugin.descriptor.handle_batch = handle_batch;
    rig->handler = (struct bide_handler){.runner = &bide_thread_runner,
        .config = &rig->config,
        .plugin = &rig->plugin,
        .states = &rig->state,
        .batches = true,
        .mean_us = 1000};
    rig->handlers = (struct bide_handlers){.rows = &rig->handler, .n = 1};
    assert_int_equal(bide_wakeup_init(&rig->wakeup, NULL), BIDE_OK);
    const struct bide_pool_options options = {.threads = threads,
        .queues = two_queues,
        .n_queues = 2,
        .handlers = &rig->handlers,
        .wakeup = &rig->wakeup,
        .clock = bide_clock_system()};
    assert_int_equal(bide_pool_create(&options, &rig->pool, NULL), BIDE_OK);
    atomic_store(&calls, 0);
    atomic_store(&messages, 0);
}

static void rig_down(struct rig *rig)
{
    assert_true(bide_pool_stop(rig->pool, 20000));
    bide_pool_destroy(rig->pool);
    bide_wakeup_close(&rig->wakeup);
}

/* Waits as the intake does until n jobs have come back. */
static void collect(struct rig *rig, size_t n, struct bide_job_list *all)
{
    struct deadline deadline = deadline_in_ms(60000);
    while (all->n < n && !deadline_passed(&deadline)) {
        bide_pool_collect(rig->pool, 1000000, all);
        int64_t tick_us = bide_pool_tick(rig->pool, 0);
        struct pollfd fd = {.fd = rig->wakeup.fd, .events = POLLIN};
        if (all->n < n && tick_us != 0)
            poll(&fd, 1, tick_us < 0 ? 1000 : (int)(tick_us / 1000 + 1));
        bide_wakeup_drain(&rig->wakeup);
    }
    assert_int_equal(all->n, n);
}

static void test_each_message_has_its_outcome(void **state)
{
    (void)state;
    struct rig rig;
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 2, each_has_its_outcome, 0);
    for (int i = 0; i < BATCH; i++) {
        struct made *made = make(&rig.handler, QUEUE, 0);
        made->message.attempt = i + 1;
        bide_job_append(&jobs, &made->job);
    }
    bide_pool_submit(rig.pool, &jobs, &refused);
    collect(&rig, BATCH, &done);
    assert_int_equal(atomic_load(&calls), 1);
    const struct bide_job *job = done.first;
    assert_int_equal(job->run.outcome, BIDE_DONE);
    assert_null(job->run.error);
    job = job->next;
    assert_int_equal(job->run.outcome, BIDE_RETRY);
    assert_int_equal(job->run.delay_ms, 7);
    assert_string_equal(job->run.error, "the second");
    job = job->next;
    assert_int_equal(job->run.outcome, BIDE_DEAD);
    assert_string_equal(job->run.error, "the third");
    job = job->next;
    assert_int_equal(job->run.outcome, BIDE_RETRY);
    assert_non_null(strstr(job->run.error, "no outcome"));
    free_all(&done);
    rig_down(&rig);
}

/* From several threads, in lists of all sizes, ready and early: each message is in one call. */
static void test_all_run_once_in_few_calls(void **state)
{
    (void)state;
    enum { ALL = 5000 };
    struct rig rig;
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 4, each_has_its_outcome, 0);
    int64_t now_ms = bide_wall_ms(bide_clock_system());
    for (int i = 0; i < ALL; i++) {
        bide_job_append(&jobs, &make(&rig.handler, (size_t)i % 2, i % 5 ? 0 : now_ms + i % 100)->job);
        if (i % 37 == 0)
            bide_pool_submit(rig.pool, &jobs, &refused);
    }
    bide_pool_submit(rig.pool, &jobs, &refused);
    assert_int_equal(refused.n, 0);
    collect(&rig, ALL, &done);
    assert_int_equal(atomic_load(&messages), ALL);
    assert_between(atomic_load(&calls), ALL / BATCH, ALL / 2);
    free_all(&done);
    rig_down(&rig);
}

/* The last batch is not full, and the intake sleeps: a thread runs it when its time has come. */
static void test_the_rest_runs_by_itself(void **state)
{
    (void)state;
    struct rig rig;
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 1, each_has_its_outcome, 0);
    bide_job_append(&jobs, &make(&rig.handler, QUEUE, 0)->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    struct pollfd fd = {.fd = rig.wakeup.fd, .events = POLLIN};
    assert_int_equal(bide_pool_tick(rig.pool, 0), -1);
    assert_int_equal(poll(&fd, 1, 20000), 1);
    collect(&rig, 1, &done);
    assert_true(done.first->run.waited_us < 20000000);
    free_all(&done);
    rig_down(&rig);
}

static void test_a_call_is_cancelled_for_all(void **state)
{
    (void)state;
    struct rig rig;
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 1, until_cancelled, 50);
    for (int i = 0; i < BATCH; i++)
        bide_job_append(&jobs, &make(&rig.handler, QUEUE, 0)->job);
    bide_pool_submit(rig.pool, &jobs, &refused);
    collect(&rig, BATCH, &done);
    for (const struct bide_job *job = done.first; job; job = job->next)
        assert_true(job->run.outcome == BIDE_RETRY && job->run.timed_out);
    free_all(&done);
    rig_down(&rig);
}

static void test_an_expired_one_is_not_in_the_call(void **state)
{
    (void)state;
    struct rig rig;
    struct bide_job_list jobs = {0}, refused = {0}, done = {0};
    rig_up(&rig, 1, each_has_its_outcome, 0);
    for (int i = 0; i < BATCH; i++) {
        struct made *made = make(&rig.handler, QUEUE, 0);
        made->message.expires_ms = i == 0 || i == 2 ? 1 : 0; /* one of them would lead */
        bide_job_append(&jobs, &made->job);
    }
    bide_pool_submit(rig.pool, &jobs, &refused);
    collect(&rig, BATCH, &done);
    assert_int_equal(atomic_load(&messages), BATCH - 2);
    size_t n_expired = 0;
    for (const struct bide_job *job = done.first; job; job = job->next)
        n_expired += job->run.expired && !job->run.ran;
    assert_int_equal(n_expired, 2);
    free_all(&done);
    rig_down(&rig);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_a_dead_process_noted_stays),
    cmocka_unit_test(test_the_latest_are_known_when_it_is_full),
    cmocka_unit_test(test_each_message_has_its_outcome),
    cmocka_unit_test(test_all_run_once_in_few_calls),
    cmocka_unit_test(test_the_rest_runs_by_itself),
    cmocka_unit_test(test_a_call_is_cancelled_for_all),
    cmocka_unit_test(test_an_expired_one_is_not_in_the_call),
};

UNIT_MAIN(tests)
