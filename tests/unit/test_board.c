/* dispatch/board.h: which job runs next, on a virtual clock. */
#include "made_jobs.h"

#include "dispatch/board.h"

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

/* Whoever submits it decides how it counts; that its moment comes between two looks at the clock changes
 * nothing. */
static void test_the_board_leaves_early_alone(void **state)
{
    (void)state;
    struct bide_board board;
    struct bide_handler handler = {.config = &plain};
    assert_int_equal(bide_board_init(&board, two_queues, 2, BIDE_ORDER_WEIGHTED, NULL), BIDE_OK);
    struct made *made = make(&handler, 0, 10);
    made->job.early = true;
    assert_true(bide_board_add(&board, &made->job, 10000, 10000));
    assert_true(made->job.early);
    assert_int_equal(board.n_landed, 1); /* it goes back like any other landed one */
    assert_ptr_equal(bide_board_take(&board, 10000, 10000), &made->job);
    free(made);
    bide_board_clear(&board);
}

/* Three landed messages, one of them behind its handler's concurrency, and a ready one: after the grace the
 * landed ones go, wherever they wait. */
static void test_overdue_ones_go_from_every_list(void **state)
{
    (void)state;
    struct bide_board board;
    struct bide_handler_config one_config = {.type = (char[]){"one"}, .concurrency = 1};
    struct bide_handler handlers[] = {{.config = &plain}, {.config = &one_config, .running = 1}};
    struct bide_handlers all = {.rows = handlers, .n = 2};
    struct bide_job_list back = {0};
    assert_int_equal(bide_board_init(&board, two_queues, 2, BIDE_ORDER_STRICT, NULL), BIDE_OK);
    struct made *blocked = make(&handlers[1], 0, 10), *first = make(&handlers[0], 0, 11);
    struct made *overdue = make(&handlers[0], 1, 12), *recent = make(&handlers[0], 1, 50);
    struct made *ready = make(&handlers[0], 0, 0);
    struct made *made[] = {blocked, first, overdue, recent, ready};
    for (size_t i = 0; i < 5; i++)
        assert_true(bide_board_add(&board, &made[i]->job, 5000, 5000));
    assert_ptr_equal(bide_board_take(&board, 60000, 60000), &first->job); /* now all threads are busy */
    bide_board_withdraw_overdue(&board, &all, 10000, &back);
    assert_int_equal(back.n, 0);
    bide_board_withdraw_overdue(&board, &all, 40000, &back);
    assert_int_equal(back.n, 2);
    assert_int_equal(board.n_blocked, 0);
    assert_int_equal(board.n_ready, 2);
    assert_int_equal(board.n_landed, 1);
    assert_int_equal(board.landed_first_us, 50000);
    bide_board_withdraw_overdue(&board, &all, 60000, &back);
    assert_int_equal(back.n, 3);
    assert_ptr_equal(bide_board_take(&board, 60000, 60000), &ready->job);
    assert_null(bide_board_take(&board, 60000, 60000));
    assert_int_equal(board.n_landed, 0);
    for (size_t i = 0; i < 5; i++)
        free(made[i]);
    bide_board_clear(&board);
}

/* A program's share, with two handlers; the first may have a concurrency of its own. */
struct shared {
    struct bide_board board;
    struct bide_share share;
    struct bide_handler_config configs[2];
    struct bide_handler handlers[2];
};

static void set_up_shared(struct shared *shared, enum bide_order order, int concurrency, int most)
{
    *shared = (struct shared){
        .configs = {{.type = (char[]){"a"}, .concurrency = concurrency}, {.type = (char[]){"b"}}}};
    for (size_t i = 0; i < 2; i++)
        shared->handlers[i] = (struct bide_handler){.config = &shared->configs[i], .share = &shared->share};
    shared->handlers[0].next_in_share = &shared->handlers[1];
    shared->share.members = &shared->handlers[0];
    assert_int_equal(bide_board_init(&shared->board, two_queues, 2, order, NULL), BIDE_OK);
    bide_board_set_share(&shared->board, &shared->share, most);
}

static void add(struct shared *shared, size_t handler, size_t queue, int n)
{
    for (int i = 0; i < n; i++)
        assert_true(bide_board_add(&shared->board, &make(&shared->handlers[handler], queue, 0)->job, 1, 1));
}

/* Begins one; says of which handler: -1: none can. */
static int begin(struct shared *shared)
{
    struct bide_job *job = bide_board_take(&shared->board, 1, 1);
    int which = job ? (int)(job->handler - shared->handlers) : -1;
    free(job);
    return which;
}

static void test_a_share_holds_its_handlers_together(void **state)
{
    (void)state;
    struct shared shared;
    set_up_shared(&shared, BIDE_ORDER_WEIGHTED, 0, 0);
    add(&shared, 0, 0, 4);
    add(&shared, 1, 1, 4);
    assert_int_equal(begin(&shared), -1); /* no process serves yet */
    bide_board_set_share(&shared.board, &shared.share, 3);
    int begun[2] = {0};
    for (int i = 0; i < 3; i++)
        begun[begin(&shared)]++;
    assert_int_equal(begin(&shared), -1);
    assert_true(begun[0] > 0 && begun[1] > 0);
    bide_board_set_share(&shared.board, &shared.share, 1); /* two processes have gone */
    for (int i = 0; i < 2; i++) {
        bide_board_finished(&shared.board, &shared.handlers[begun[0]-- > 0 ? 0 : 1]);
        assert_int_equal(begin(&shared), -1);
    }
    bide_board_set_share(&shared.board, &shared.share, 100);
    for (int i = 0; i < 5; i++)
        assert_int_not_equal(begin(&shared), -1);
    assert_int_equal(begin(&shared), -1);
    assert_int_equal(shared.board.n_blocked + shared.board.n_ready, 0);
    bide_board_clear(&shared.board);
}

/* a may run one at once and does; many of it wait. Room in the share is b's, at once. */
static void test_a_busy_handler_leaves_its_share_to_others(void **state)
{
    (void)state;
    struct shared shared;
    set_up_shared(&shared, BIDE_ORDER_WEIGHTED, 1, 3);
    add(&shared, 0, 0, 5);
    assert_int_equal(begin(&shared), 0);
    add(&shared, 1, 1, 6);
    assert_int_equal(begin(&shared), 1);
    assert_int_equal(begin(&shared), 1);
    assert_int_equal(begin(&shared), -1);
    for (int i = 0; i < 4; i++) {
        bide_board_finished(&shared.board, &shared.handlers[1]);
        assert_int_equal(begin(&shared), 1);
    }
    for (int i = 0; i < 4; i++) {
        bide_board_finished(&shared.board, &shared.handlers[0]);
        assert_int_equal(begin(&shared), 0);
    }
    assert_int_equal(shared.board.n_blocked + shared.board.n_ready, 0);
    bide_board_clear(&shared.board);
}

/* Each time that several end at once, before the next is taken. */
static void test_room_of_a_share_is_never_left_over(void **state)
{
    (void)state;
    struct shared shared;
    set_up_shared(&shared, BIDE_ORDER_WEIGHTED, 1, 4);
    add(&shared, 0, 0, 10);
    add(&shared, 1, 1, 40);
    int left[2] = {10, 40}, running[2] = {0}, which;
    while (left[0] + left[1] > 0) {
        while ((which = begin(&shared)) >= 0) {
            running[which]++;
            left[which]--;
        }
        if (running[0] + running[1] < 4 && left[1] > 0)
            fail_msg("%d and %d run, %d and %d wait", running[0], running[1], left[0], left[1]);
        for (int i = 0; i < 2; i++)
            for (; running[i] > 0; running[i]--)
                bide_board_finished(&shared.board, &shared.handlers[i]);
    }
    bide_board_clear(&shared.board);
}

static void test_a_full_share_keeps_the_strict_order(void **state)
{
    (void)state;
    struct shared shared;
    set_up_shared(&shared, BIDE_ORDER_STRICT, 0, 1);
    add(&shared, 0, 1, 5);
    add(&shared, 1, 0, 5);
    for (int i = 0; i < 10; i++) {
        int which = begin(&shared);
        assert_int_equal(which, i < 5 ? 1 : 0);
        assert_int_equal(begin(&shared), -1);
        bide_board_finished(&shared.board, &shared.handlers[which]);
    }
    bide_board_clear(&shared.board);
}

/* On the millisecond as soon as there is room, before what was ready; taken out where it waits. */
static void test_landing_in_a_full_share(void **state)
{
    (void)state;
    struct shared shared;
    struct bide_job_list out = {0};
    set_up_shared(&shared, BIDE_ORDER_WEIGHTED, 0, 1);
    struct made *runs = make(&shared.handlers[0], 0, 0), *early = make(&shared.handlers[1], 1, 10);
    early->job.early = true;
    assert_true(bide_board_add(&shared.board, &runs->job, 5000, 5000));
    assert_true(bide_board_add(&shared.board, &early->job, 5000, 5000));
    assert_ptr_equal(bide_board_take(&shared.board, 5000, 5000), &runs->job);
    assert_null(bide_board_take(&shared.board, 10000, 10000));
    assert_int_equal(shared.board.n_landed, 1);
    bide_board_finished(&shared.board, &shared.handlers[0]);
    assert_ptr_equal(bide_board_take(&shared.board, 12000, 12000), &early->job);
    assert_int_equal(shared.board.n_landed, 0);
    assert_int_equal(early->job.ready_us, 10000);
    struct bide_handlers handlers = {.rows = shared.handlers, .n = 2};
    assert_true(bide_board_add(&shared.board, &runs->job, 12000, 12000));
    assert_null(bide_board_take(&shared.board, 12000, 12000));
    bide_board_withdraw_overdue(&shared.board, &handlers, INT64_MAX, &out);
    assert_int_equal(out.n, 0);
    assert_int_equal(shared.board.n_blocked, 1);
    free(runs);
    free(early);
    bide_board_clear(&shared.board);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_weighted_is_in_proportion),
    cmocka_unit_test(test_strict_takes_the_first_queue_first),
    cmocka_unit_test(test_landing_is_never_early_and_in_order),
    cmocka_unit_test(test_due_goes_before_ready),
    cmocka_unit_test(test_concurrency_holds_back_only_its_handler),
    cmocka_unit_test(test_the_board_leaves_early_alone),
    cmocka_unit_test(test_overdue_ones_go_from_every_list),
    cmocka_unit_test(test_a_share_holds_its_handlers_together),
    cmocka_unit_test(test_a_busy_handler_leaves_its_share_to_others),
    cmocka_unit_test(test_room_of_a_share_is_never_left_over),
    cmocka_unit_test(test_a_full_share_keeps_the_strict_order),
    cmocka_unit_test(test_landing_in_a_full_share),
};

UNIT_MAIN(tests)
