/* dispatch/filling.h on a virtual clock. */
#include "made_jobs.h"

#include "dispatch/board.h"
#include "dispatch/filling.h"

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
    assert_ptr_equal(back.first, later);
    assert_ptr_equal(back.last, landed);
    free_all(&back);
    desk.handler.running = 0;
    assert_int_equal(take(&desk, ripe_us + 2), 1);
    bide_board_clear(&desk.board);
}

/* The one that waits for a thread may have been ready: what lands behind it does not wait for long either. */
static void test_overdue_goes_back_behind_one_that_was_ready(void **state)
{
    (void)state;
    struct desk desk;
    struct bide_job_list back = {0};
    struct bide_handler_config one = config;
    one.concurrency = 1;
    set_up_desk(&desk, &one);
    desk.handler.running = 1;
    add(&desk, 0, 1);
    add(&desk, 500, 1);
    assert_null(bide_board_take(&desk.board, 1 + WAIT_US, 1 + WAIT_US));
    assert_null(bide_board_take(&desk.board, 500000, 500000));
    bide_board_withdraw_overdue(&desk.board, &desk.all, 500000, &back);
    assert_int_equal(back.n, 0);
    bide_board_withdraw_overdue(&desk.board, &desk.all, 500001, &back);
    assert_int_equal(back.n, 1);
    assert_true(back.first->early);
    free_all(&back);
    bide_board_finished(&desk.board, &desk.handler);
    assert_int_equal(take(&desk, 500002), 1);
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

/* Also the lead that leaves may have landed: those of another queue stay. */
static void test_what_landed_stays_when_its_lead_is_withdrawn(void **state)
{
    (void)state;
    static const size_t queue = QUEUE;
    struct desk desk;
    struct bide_job_list back = {0};
    set_up_desk(&desk, &config);
    for (size_t i = 0; i < BATCH; i++) {
        struct bide_job *job = &make(&desk.handler, i % 2, 0)->job;
        job->early = true;
        assert_true(bide_board_add(&desk.board, job, 1, 1));
    }
    bide_board_withdraw(&desk.board, &desk.all, is_of_queue, &queue, &back);
    assert_int_equal(back.n, BATCH / 2);
    free_all(&back);
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_batch_waits_for_others),
    cmocka_unit_test(test_a_full_batch_waits_for_nothing),
    cmocka_unit_test(test_what_waits_for_a_thread_goes_on_filling),
    cmocka_unit_test(test_what_may_be_guilty_runs_alone_at_once),
    cmocka_unit_test(test_what_lands_is_in_it),
    cmocka_unit_test(test_overdue_goes_back_when_nobody_takes_the_batch),
    cmocka_unit_test(test_overdue_goes_back_behind_one_that_was_ready),
    cmocka_unit_test(test_withdrawn_ones_leave_the_others),
    cmocka_unit_test(test_what_landed_stays_when_its_lead_is_withdrawn),
    cmocka_unit_test(test_drained_while_it_fills),
    cmocka_unit_test(test_permits_are_used_in_time),
};

UNIT_MAIN(tests)
