/* worker/clerk and worker/gates/once.c: what is done does not run again. */
#include "unit/once_stage.h"

static void test_a_handler_without_it_never_meets_the_clerk(void **state)
{
    (void)state;
    const struct bide_gate_list *lists = stage.passage.gates.lists;
    assert_false(lists[PLAIN].commits);
    assert_true(lists[ONCE].commits);
    struct bide_job *job = take_in_as(0, plain_type, "1");
    assert_non_null(job);
    ran(job, BIDE_DONE, false);
    assert_int_equal(broker.n, 1);
    assert_int_equal(bide_passage_waiting(&stage.passage), 0);
}

static void test_a_message_that_is_done_is_acknowledged_without_a_run(void **state)
{
    (void)state;
    struct bide_job *job = take_in(0, "1");
    assert_non_null(job);
    ran(job, BIDE_DONE, false);
    assert_int_equal(broker.n, 0); /* the store is told first */
    assert_int_equal(bide_passage_in_hand(&stage.passage), 1);
    assert_null(all_answers());
    assert_int_equal(broker.n, 1);
    assert_null(take_in(1, "1"));
    assert_true(broker.acknowledged[1]);
    assert_int_equal(stage.passage.settling.counts[BIDE_COUNT_DUPLICATE], 1);
    assert_int_equal(stage.passage.settling.counts[BIDE_COUNT_DONE], 1);
    assert_non_null(job = take_in(2, "2"));
    ran(job, BIDE_RETRY, false);
    all_answers();
}

static void test_another_process_knows_it_too(void **state)
{
    (void)state;
    ran(take_in(0, "1"), BIDE_DONE, false);
    all_answers();
    end_process();
    begin();
    assert_null(take_in(1, "1"));
    assert_int_equal(stage.passage.settling.counts[BIDE_COUNT_DUPLICATE], 1);
}

static void test_a_second_copy_waits_for_the_first_one(void **state)
{
    (void)state;
    struct bide_job *job = take_in(0, "1");
    assert_null(take_in(1, "1"));
    assert_int_equal(broker.n, 1);
    expect_held();
    ran(job, BIDE_RETRY, false); /* it failed: the other one may run */
    all_answers();
    job = take_in(2, "1");
    assert_non_null(job);
    ran(job, BIDE_DONE, false);
    all_answers();
    assert_null(take_in(3, "1"));
    assert_true(broker.acknowledged[3]);
}

static void test_a_permit_ends_with_its_process(void **state)
{
    (void)state;
    struct bide_job *job = take_in(0, "1");
    assert_non_null(job);
    bide_clerk_free(stage.clerk, job->permit); /* it dies in the middle of the run */
    end_process();
    begin();
    assert_non_null(job = take_in(1, "1"));
    ran(job, BIDE_DONE, false);
    all_answers();
}

static void test_what_is_given_back_unrun_gives_its_permit_back(void **state)
{
    (void)state;
    struct bide_job *job = take_in(0, "1");
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RELEASE);
    assert_non_null(job = take_in(1, "1"));
    ran(job, BIDE_DONE, false);
    all_answers();
}

static size_t sent(void)
{
    struct bide_admin *admin;
    struct bide_broker_stats stats = {0};
    assert_int_equal(stage.broker.adapter->open_admin(&stage.broker.options, &admin, NULL), BIDE_OK);
    assert_int_equal(admin->ops->stats(admin, &stats, NULL), BIDE_OK);
    size_t n = stats.n_queues > 0 ? (size_t)stats.queues[0].ready : 0;
    bide_broker_stats_clear(&stats);
    bide_admin_destroy(admin);
    return n;
}

static void test_what_it_sends_is_there_before_the_store_knows(void **state)
{
    struct bide_admin *keeper; /* the messages in memory end with their last user */
    (void)state;
    assert_int_equal(stage.broker.adapter->open_admin(&stage.broker.options, &keeper, NULL), BIDE_OK);
    struct bide_job *job = take_in(0, "1");
    block_store();
    ran(job, BIDE_DONE, true);
    await_away(true);
    struct deadline end = deadline_in_ms(SOON_MS);
    while (sent() < 1)
        assert_false(deadline_passed(&end));
    assert_int_equal(broker.n, 0);
    unblock_store();
    all_answers();
    assert_true(broker.acknowledged[0]);
    assert_int_equal(broker.last.n_sends, 0); /* they are not sent again */
    assert_int_equal(sent(), 1);
    bide_admin_destroy(keeper);
}

static void test_while_the_store_is_away_messages_wait_in_the_broker(void **state)
{
    (void)state;
    struct bide_job *job = take_in(0, "1");
    block_store();
    assert_null(take_in(1, "2")); /* it was asked, and got no answer */
    expect_held();
    await_away(true);
    assert_null(take_in_as(2, once_type, "3"));
    assert_int_equal(broker.n, 2); /* nobody was asked */
    expect_held();
    assert_true(stage.passage.gates.round.waits);
    assert_true(stage.passage.gates.queues[0].cap == SIZE_MAX); /* the other handler's messages go on */
    ran(job, BIDE_DONE, false);
    go_on();
    assert_int_equal(bide_passage_waiting(&stage.passage), 1);
    assert_int_equal(broker.n, 2);
    unblock_store();
    all_answers();
    assert_true(broker.acknowledged[0]);
    await_away(false);
    assert_non_null(job = take_in(3, "2")); /* the permit that may have been granted was given back */
    ran(job, BIDE_DONE, false);
    all_answers();
}

/* Those that have run wait for the store and fill all places; the other handler's messages go on. */
static void test_what_has_ended_keeps_no_others_out(void **state)
{
    size_t limit = stage.passage.prefetch[0].limit;
    struct bide_job *jobs[DELIVERIES];
    (void)state;
    for (size_t i = 0; i < DELIVERIES; i++) {
        char id[2] = {(char)('1' + i), 0};
        jobs[i] = take_in(i, id);
    }
    block_store();
    for (size_t i = 0; i < DELIVERIES; i++)
        ran(jobs[i], BIDE_DONE, false);
    bide_passage_ask_gates(&stage.passage, 0);
    assert_int_equal(broker.limit, limit);
    await_away(true);
    bide_passage_ask_gates(&stage.passage, 0);
    assert_int_equal(broker.limit, limit + DELIVERIES);
    unblock_store();
    all_answers();
    await_away(false);
    bide_passage_ask_gates(&stage.passage, 0);
    assert_int_equal(broker.limit, limit);
    assert_int_equal(broker.n, DELIVERIES);
}

static void test_a_queue_takes_nothing_where_all_its_handlers_need_the_store(void **state)
{
    (void)state;
    stage.handlers[PLAIN].once_ms = 1000;
    end_process();
    begin();
    block_store();
    assert_null(take_in(0, "1"));
    await_away(true);
    assert_int_equal(stage.passage.gates.queues[0].cap, 0);
    unblock_store();
    await_away(false);
    assert_true(stage.passage.gates.queues[0].cap == SIZE_MAX);
    assert_int_equal(atomic_load(&stage.metrics.away), 0);
    assert_true(atomic_load(&stage.metrics.errors) > 0);
}

/* Its message is done: better known to the broker alone than to nobody. */
static void test_a_worker_that_leaves_does_not_wait_for_the_store(void **state)
{
    (void)state;
    struct bide_job *job = take_in(0, "1");
    block_store();
    ran(job, BIDE_DONE, false);
    await_away(true);
    assert_int_equal(broker.n, 0);
    bide_clerk_give_up(stage.clerk);
    all_answers();
    assert_true(broker.acknowledged[0]);
}

static void test_what_is_asked_for_when_the_worker_drains_goes_back(void **state)
{
    (void)state;
    assert_null(take_in_as(0, once_type, "1"));
    stage.passage.draining = true;
    assert_null(all_answers());
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RELEASE);
    stage.passage.draining = false;
    struct bide_job *job = take_in(1, "1");
    assert_non_null(job);
    ran(job, BIDE_DONE, false);
    all_answers();
}

static void test_many_go_in_one_batch(void **state)
{
    (void)state;
    block_store(); /* so that they come together */
    for (size_t i = 0; i < DELIVERIES; i++) {
        char id[2] = {(char)('1' + i), 0};
        assert_null(take_in_as(i, once_type, id));
    }
    unblock_store();
    uint64_t letters = 0;
    struct bide_job_list jobs = {0};
    for (struct deadline end = deadline_in_ms(SOON_MS); bide_passage_waiting(&stage.passage) > 0;) {
        struct bide_job_list some = go_on();
        bide_job_append_all(&jobs, &some);
        assert_false(deadline_passed(&end));
    }
    letters = atomic_load(&stage.metrics.letters);
    assert_true(letters >= DELIVERIES);
    for (struct bide_job *job; (job = bide_job_pop(&jobs));)
        ran(job, BIDE_DONE, false);
    all_answers();
}

/* Rows and entries that others wrote may have none, or one that is no id. They may be different messages. */
static void test_messages_without_an_id_of_their_own_all_run(void **state)
{
    char one[600], another[600];
    (void)state;
    memset(one, 'x', sizeof one);
    one[sizeof one - 1] = '\0';
    memcpy(another, one, sizeof one);
    another[sizeof another - 2] = 'y';
    const char *const ids[DELIVERIES] = {"", "", one, another};
    for (size_t i = 0; i < DELIVERIES; i++) {
        struct bide_job *job = take_in_as(i, once_type, ids[i]);
        assert_non_null(job);
        ran(job, BIDE_DONE, false);
    }
    assert_int_equal(stage.passage.settling.counts[BIDE_COUNT_DONE], DELIVERIES);
    stage.id_is_new = true;
    struct bide_job *job = take_in_as(0, once_type, "drawn for this delivery");
    assert_non_null(job);
    ran(job, BIDE_DONE, false);
    assert_int_equal(broker.n, DELIVERIES + 1); /* the store has not been told */
}

static void test_it_is_held_longer_the_longer_the_store_is_away(void **state)
{
    (void)state;
    assert_int_equal(bide_clerk_away_ms(stage.clerk), 0);
    block_store();
    assert_null(take_in(0, "1"));
    await_away(true);
    struct deadline end = deadline_in_ms(SOON_MS);
    while (bide_clerk_away_ms(stage.clerk) < 1600)
        assert_false(deadline_passed(&end));
    assert_null(take_in_as(1, once_type, "2"));
    assert_true(broker.last.due_ms >= bide_wall_ms(stage.passage.site.clock) + 1500);
    unblock_store();
    await_away(false);
    assert_int_equal(bide_clerk_away_ms(stage.clerk), 0);
}

/* The receiver goes on with what was refused. A copy does not wait for a permit that nobody gives back. */
static void test_a_permit_ends_with_a_run_whose_messages_are_refused(void **state)
{
    static const struct bide_adapter refusing = {.name = "refusing", .open_sender = open_refusing};
    (void)state;
    stage.broker.adapter = &refusing;
    ran(take_in(0, "1"), BIDE_DONE, true);
    all_answers();
    assert_int_equal(broker.n, 1);
    assert_int_equal(broker.last.n_sends, 1);
    struct bide_job *job = take_in(1, "1");
    assert_non_null(job);
    ran(job, BIDE_DONE, false);
    all_answers();
    assert_true(broker.acknowledged[1]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(test_a_handler_without_it_never_meets_the_clerk),
    CASE(test_a_message_that_is_done_is_acknowledged_without_a_run),
    CASE(test_another_process_knows_it_too),
    CASE(test_a_second_copy_waits_for_the_first_one),
    CASE(test_a_permit_ends_with_its_process),
    CASE(test_what_is_given_back_unrun_gives_its_permit_back),
    CASE(test_what_it_sends_is_there_before_the_store_knows),
    CASE(test_while_the_store_is_away_messages_wait_in_the_broker),
    CASE(test_what_has_ended_keeps_no_others_out),
    CASE(test_a_queue_takes_nothing_where_all_its_handlers_need_the_store),
    CASE(test_a_worker_that_leaves_does_not_wait_for_the_store),
    CASE(test_what_is_asked_for_when_the_worker_drains_goes_back),
    CASE(test_many_go_in_one_batch),
    CASE(test_messages_without_an_id_of_their_own_all_run),
    CASE(test_it_is_held_longer_the_longer_the_store_is_away),
    CASE(test_a_permit_ends_with_a_run_whose_messages_are_refused),
};

UNIT_MAIN(tests)
