/* dispatch/filling.h on a virtual clock, shared/apart.h, and batches on the threads of a pool. */
#include "made_jobs.h"

#include <poll.h>
#include <stdatomic.h>

#include "dispatch/board.h"
#include "dispatch/filling.h"
#include "dispatch/pool.h"
#include "shared/apart.h"
#include "support/deadline.h"

enum { BATCH = 4, WAIT_US = 200 * 1000, QUEUE = 0 };

static struct bide_handler_config config = {
    .type = (char[]){"x"}, .batch = BATCH, .batch_wait_ms = WAIT_US / 1000};

struct desk {
    struct bide_board board;
    struct bide_handler handler;
    struct bide_handlers all;
};

static void set_up_desk(struct desk *desk, const struct bide_handler_config *of)
{
    *desk = (struct desk){.handler = {.config = of}};
    desk->all = (struct bide_handlers){.rows = &desk->handler, .n = 1};
    assert_int_equal(bide_board_init(&desk->board, two_queues, 2, BIDE_ORDER_STRICT, NULL), BIDE_OK);
}

static struct bide_job *add(struct desk *desk, int64_t due_ms, int64_t now_us)
{
    struct bide_job *job = &make(&desk->handler, QUEUE, due_ms)->job;
    job->early = due_ms * 1000 > now_us;
    assert_true(bide_board_add(&desk->board, job, now_us, now_us));
    return job;
}

/* How many messages the next call has; 0: there is none yet. Frees them. */
static size_t take(struct desk *desk, int64_t now_us)
{
    struct bide_job *job = bide_board_take(&desk->board, now_us, now_us);
    if (!job)
        return 0;
    size_t n = job->mates.n + 1;
    bide_board_finished(&desk->board, job->handler);
    free_all(&job->mates);
    free(job);
    return n;
}

static void test_a_batch_waits_for_others(void **state)
{
    (void)state;
    struct desk desk;
    set_up_desk(&desk, &config);
    add(&desk, 0, 1000);
    add(&desk, 0, 1000 + WAIT_US / 2);
    assert_int_equal(desk.board.n_ready, 0);                                 /* no thread is woken for it */
    assert_int_equal(bide_board_next_us(&desk.board, 1, 1), 1000 + WAIT_US); /* counts from the first */
    assert_int_equal(take(&desk, 1000 + WAIT_US - 1), 0);
    assert_int_equal(take(&desk, 1000 + WAIT_US), 2);
    assert_int_equal(bide_board_next_us(&desk.board, 1, 1), -1);
    bide_board_clear(&desk.board);
}

static void test_a_full_batch_waits_for_nothing(void **state)
{
    (void)state;
    struct desk desk;
    set_up_desk(&desk, &config);
    for (int i = 0; i < 2 * BATCH + 1; i++)
        add(&desk, 0, 1);
    assert_int_equal(take(&desk, 1), BATCH);
    assert_int_equal(take(&desk, 1), BATCH);
    assert_int_equal(take(&desk, 1), 0);
    assert_int_equal(take(&desk, 1 + WAIT_US), 1);
    bide_board_clear(&desk.board);
}

/* While no thread is free it goes on filling. */
static void test_what_waits_for_a_thread_goes_on_filling(void **state)
{
    (void)state;
    struct desk desk;
    struct bide_handler_config one = config;
    one.concurrency = 1;
    set_up_desk(&desk, &one);
    desk.handler.running = 1;
    add(&desk, 0, 1);
    assert_null(bide_board_take(&desk.board, 1 + WAIT_US, 1 + WAIT_US)); /* it waits with the handler */
    add(&desk, 0, 2 + WAIT_US);
    bide_board_finished(&desk.board, &desk.handler);
    struct bide_job *job = bide_board_take(&desk.board, 10 + WAIT_US, 10 + WAIT_US);
    assert_non_null(job);
    assert_int_equal(job->mates.n, 1);
    assert_int_equal(desk.handler.running, 1);                 /* a batch is one run */
    assert_int_equal(job->mates.first->ready_us, 2 + WAIT_US); /* its wait for others is not counted */
    assert_int_equal(job->ready_us, 1 + WAIT_US);
    bide_board_finished(&desk.board, &desk.handler);
    free_all(&job->mates);
    free(job);
    bide_board_clear(&desk.board);
}

static void test_what_may_be_guilty_runs_alone_at_once(void **state)
{
    (void)state;
    struct desk desk;
    set_up_desk(&desk, &config);
    for (int i = 0; i < 4; i++) {
        struct bide_job *job = &make(&desk.handler, QUEUE, 0)->job;
        job->suspect = i == 0;
        job->probe = i == 1;
        job->apart = i == 2;
        assert_true(bide_board_add(&desk.board, job, 1, 1));
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(&desk, 1), 1);
    assert_int_equal(take(&desk, 1), 0);
    assert_int_equal(take(&desk, 1 + WAIT_US), 1);
    bide_board_clear(&desk.board);
}

/* Messages that fall due one after the other are one batch; the first one's due time counts. */
static void test_what_lands_is_in_it(void **state)
{
    (void)state;
    struct desk desk;
    set_up_desk(&desk, &config);
    add(&desk, 100, 1);
    add(&desk, 110, 1);
    assert_int_equal(bide_board_next_us(&desk.board, 1, 1), 100000);
    assert_int_equal(take(&desk, 100000), 0);
    assert_int_equal(take(&desk, 110000), 0);
    assert_int_equal(bide_board_next_us(&desk.board, 110000, 110000), 100000 + WAIT_US);
    assert_int_equal(take(&desk, 100000 + WAIT_US), 2);
    bide_board_clear(&desk.board);
}

/* No thread came for a ripe batch: what landed goes to another worker, what was ready stays. */
static void test_overdue_goes_back_when_nobody_takes_the_batch(void **state)
{
    (void)state;
    struct desk desk;
    struct bide_job_list back = {0};
    set_up_desk(&desk, &config);
    add(&desk, 0, 99000);
    struct bide_job *landed = add(&desk, 100, 99000), *later = add(&desk, 101, 99000);
    desk.handler.running = 1;
    struct bide_handler_config one = config;
    one.concurrency = 1;
    desk.handler.config = &one;
    int64_t ripe_us = 99000 + WAIT_US;
    assert_null(bide_board_take(&desk.board, 101000, 101000));
    bide_board_withdraw_overdue(&desk.board, &desk.all, ripe_us - 1, &back); /* it fills: that is no delay */
    assert_int_equal(back.n, 0);
    assert_null(bide_board_take(&desk.board, ripe_us, ripe_us));
    bide_board_withdraw_overdue(&desk.board, &desk.all, ripe_us, &back);
    assert_int_equal(back.n, 0);
    bide_board_withdraw_overdue(&desk.board, &desk.all, ripe_us + 1, &back);
    assert_int_equal(back.n, 2);
    assert_ptr_equal(back.first, landed);
    assert_ptr_equal(back.last, later);
    free_all(&back);
    desk.handler.running = 0;
    assert_int_equal(take(&desk, ripe_us + 2), 1);
    bide_board_clear(&desk.board);
}

static bool is_of_queue(const void *queue, const struct bide_job *job)
{
    return job->delivery->queue == *(const size_t *)queue;
}

/* A pause takes its messages out, the lead among them; the others find another one. */
static void test_withdrawn_ones_leave_the_others(void **state)
{
    (void)state;
    static const size_t queue = QUEUE;
    struct desk desk;
    struct bide_job_list back = {0};
    set_up_desk(&desk, &config);
    for (size_t i = 0; i < BATCH; i++)
        assert_true(bide_board_add(&desk.board, &make(&desk.handler, i % 2, 0)->job, 1, 1));
    assert_int_equal(desk.board.n_ready, 1);
    bide_board_withdraw(&desk.board, &desk.all, is_of_queue, &queue, &back);
    assert_int_equal(back.n, BATCH / 2);
    assert_int_equal(desk.board.n_ready, 0);
    free_all(&back);
    assert_int_equal(take(&desk, WAIT_US), 0);
    assert_int_equal(take(&desk, 1 + WAIT_US), BATCH / 2);
    bide_board_clear(&desk.board);
}

static bool any(const void *user, const struct bide_job *job)
{
    (void)user, (void)job;
    return true;
}

static void test_drained_while_it_fills(void **state)
{
    (void)state;
    struct desk desk;
    struct bide_job_list back = {0};
    set_up_desk(&desk, &config);
    add(&desk, 0, 1);
    add(&desk, 0, 1);
    bide_board_withdraw(&desk.board, &desk.all, any, NULL, &back);
    assert_int_equal(back.n, 2);
    free_all(&back);
    assert_int_equal(bide_board_next_us(&desk.board, 1, 1), -1);
    assert_int_equal(take(&desk, 1 + WAIT_US), 0);
    bide_board_clear(&desk.board);
}

/* A permit that ends before batch_wait makes the batch ripe in time; one that is over, or whose message only
 * waits to ask again, does not wait with the others. */
static void test_permits_are_used_in_time(void **state)
{
    (void)state;
    struct desk desk;
    set_up_desk(&desk, &config);
    add(&desk, 0, 1);
    struct bide_job *permitted = &make(&desk.handler, QUEUE, 0)->job,
                    *late = &make(&desk.handler, QUEUE, 0)->job;
    permitted->begin_by_us = 100000;
    assert_true(bide_board_add(&desk.board, permitted, 1, 1));
    assert_int_equal(bide_board_next_us(&desk.board, 1, 1), 80000);
    late->begin_by_us = 1;
    assert_true(bide_board_add(&desk.board, late, 2, 2));
    assert_int_equal(take(&desk, 2), 1);
    assert_int_equal(take(&desk, 80000), 2);
    bide_board_clear(&desk.board);
}

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
    struct deadline deadline = deadline_in_ms(20000);
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
    cmocka_unit_test(test_a_batch_waits_for_others),
    cmocka_unit_test(test_a_full_batch_waits_for_nothing),
    cmocka_unit_test(test_what_waits_for_a_thread_goes_on_filling),
    cmocka_unit_test(test_what_may_be_guilty_runs_alone_at_once),
    cmocka_unit_test(test_what_lands_is_in_it),
    cmocka_unit_test(test_overdue_goes_back_when_nobody_takes_the_batch),
    cmocka_unit_test(test_withdrawn_ones_leave_the_others),
    cmocka_unit_test(test_drained_while_it_fills),
    cmocka_unit_test(test_permits_are_used_in_time),
    cmocka_unit_test(test_what_a_dead_process_noted_stays),
    cmocka_unit_test(test_the_latest_are_known_when_it_is_full),
    cmocka_unit_test(test_each_message_has_its_outcome),
    cmocka_unit_test(test_all_run_once_in_few_calls),
    cmocka_unit_test(test_the_rest_runs_by_itself),
    cmocka_unit_test(test_a_call_is_cancelled_for_all),
    cmocka_unit_test(test_an_expired_one_is_not_in_the_call),
};

UNIT_MAIN(tests)
