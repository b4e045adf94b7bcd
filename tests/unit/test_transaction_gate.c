/* worker/gates/transaction.c: which messages that ask run, and what their answers become. */
#include <inttypes.h>

#include "unit/asking_stage.h"

/* ---- it is open ---- */

static void test_a_commit_is_sent_and_then_acknowledged(void **state)
{
    (void)state;
    prepare();
    struct bide_job *job = meet_open(0);
    say(job, BIDE_ANSWER_COMMIT);
    assert_int_equal(broker.n, 0); /* the store decides first */
    all_answers();
    assert_true(broker.acknowledged[0]);
    assert_int_equal(sent(), 1);
    expect_state(BIDE_TRANSACTION_COMMITTED);
}

/* Beside the most that a run may send there is room for it. */
static void test_a_commit_of_a_handler_that_sends_much(void **state)
{
    (void)state;
    prepare();
    struct bide_job *job = meet_open(0);
    job->run = (struct bide_run){.ran = true,
        .outcome = BIDE_DONE,
        .delay_ms = BIDE_BY_POLICY,
        .answer = BIDE_ANSWER_COMMIT,
        .sends = bide_calloc(BIDE_CONTEXT_SENDS_MAX, sizeof *job->run.sends),
        .n_sends = BIDE_CONTEXT_SENDS_MAX};
    for (size_t i = 0; i < job->run.n_sends; i++) {
        assert_int_equal(bide_message_create("next", &job->run.sends[i], NULL), BIDE_OK);
        assert_int_equal(
            bide_message_stamp(job->run.sends[i], queue_name, stage.passage.site.clock, NULL), BIDE_OK);
    }
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
    all_answers();
    assert_true(broker.acknowledged[0]);
    expect_state(BIDE_TRANSACTION_COMMITTED);
}

static void test_an_abort_is_acknowledged(void **state)
{
    (void)state;
    prepare();
    say(meet_open(0), BIDE_ANSWER_ABORT);
    all_answers();
    assert_true(broker.acknowledged[0]);
    assert_int_equal(sent(), 0);
    expect_state(BIDE_TRANSACTION_ABORTED);
}

/* The interval and how often are the transaction's, not the policy's (10 ms, 3 attempts). What it has sent is
 * not sent. */
static void test_no_answer_is_asked_again(void **state)
{
    (void)state;
    prepare();
    struct bide_job *job = meet_open(0);
    int64_t before_ms = bide_wall_ms(bide_clock_system());
    ran(job, BIDE_DONE, true);
    all_answers();
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RETRY);
    assert_int_equal(broker.last.attempt, 2);
    assert_true(broker.last.due_ms >= before_ms + INTERVAL_MS &&
                broker.last.due_ms <= before_ms + INTERVAL_MS + 60000);
    assert_int_equal(broker.n_sent, 0);
    expect_state(BIDE_TRANSACTION_PREPARED);
}

static void test_a_handler_that_knows_when_is_asked_then(void **state)
{
    (void)state;
    prepare();
    struct bide_job *job = meet_open(0);
    job->run = (struct bide_run){.ran = true, .outcome = BIDE_RETRY, .delay_ms = 5};
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
    assert_true(broker.last.due_ms <= bide_wall_ms(bide_clock_system()) + 1000);
}

static struct bide_job *meet_attempt(size_t i, int attempt)
{
    struct bide_job *job = meet_open(i);
    stage.messages[i].attempt = attempt;
    return job;
}

static void test_after_the_last_time_it_is_unresolved(void **state)
{
    (void)state;
    prepare();
    ran(meet_attempt(0, 3), BIDE_RETRY, false);
    all_answers();
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_DEAD);
    assert_int_equal(broker.last.reason, BIDE_REASON_UNRESOLVED);
    expect_state(BIDE_TRANSACTION_UNRESOLVED);
    drop(); /* somebody decides */
    assert_null(meet(1));
    assert_true(broker.acknowledged[1]);
}

static void test_a_dead_letter_is_unresolved(void **state)
{
    (void)state;
    prepare();
    ran(meet_open(0), BIDE_DEAD, false);
    all_answers();
    assert_int_equal(broker.last.reason, BIDE_REASON_REJECTED);
    expect_state(BIDE_TRANSACTION_UNRESOLVED);
    say(meet_open(1), BIDE_ANSWER_COMMIT); /* it was replayed */
    all_answers();
    assert_true(broker.acknowledged[1]);
    assert_int_equal(sent(), 1);
}

static void test_what_the_store_has_lost_is_asked_and_obeyed(void **state)
{
    (void)state;
    say(meet_open(0), BIDE_ANSWER_COMMIT);
    all_answers();
    assert_true(broker.acknowledged[0]);
    assert_int_equal(sent(), 1);
    expect_state(BIDE_TRANSACTION_COMMITTED);
}

/* With `once`, "done" would be noted before the decision: a worker that dies in between would leave a
 * transaction that nobody asks about any more. */
static void test_once_does_not_end_it_before_it_is_decided(void **state)
{
    (void)state;
    prepare();
    assert_null(take_in_as(0, once_type, ASKING));
    struct bide_job *job = all_answers();
    assert_non_null(job);
    say(job, BIDE_ANSWER_COMMIT);
    all_answers();
    assert_int_equal(sent(), 1);
    forget_fact(); /* as if it had died before it was decided */
    prepare();
    assert_null(take_in_as(1, once_type, ASKING));
    job = all_answers();
    assert_non_null(job); /* it is asked again */
    say(job, BIDE_ANSWER_ABORT);
    all_answers();
    assert_true(broker.acknowledged[1]);
    expect_state(BIDE_TRANSACTION_ABORTED);
}

/* ---- it is over ---- */

static void test_what_has_ended_is_not_asked(void **state)
{
    (void)state;
    static void (*const ends[])(void) = {commit_and_send, drop};
    for (size_t i = 0; i < 2; i++) {
        prepare();
        ends[i]();
        assert_null(meet(i));
        assert_true(broker.acknowledged[i]);
        assert_int_equal(sent(), 0);
        end_process(); /* the clerk has written that it has come, or it never will */
        begin();
        forget_fact();
    }
    assert_int_equal(stage.passage.settling.counts[BIDE_COUNT_DONE], 0);
}

static void test_it_is_not_remembered_for_long_then(void **state)
{
    (void)state;
    prepare();
    drop();
    assert_null(meet(0));
    struct deadline end = deadline_in_ms(SOON_MS);
    int64_t lasts_ms;
    while ((lasts_ms = expect_state(BIDE_TRANSACTION_ABORTED)) > BIDE_TRANSACTION_MET_MS + INTERVAL_MS) {
        assert_false(deadline_passed(&end));
        bide_clerk_wake(stage.clerk);
        go_on();
    }
    assert_true(lasts_ms > BIDE_TRANSACTION_MET_MS); /* a copy may come an interval later */
    assert_null(meet(1));                            /* its acknowledgement was lost */
    assert_true(broker.acknowledged[1]);
}

static void test_the_sender_has_its_time(void **state)
{
    (void)state;
    prepare();
    decide(5000);
    assert_null(meet(0));
    expect_held();
    assert_int_equal(sent(), 0);
}

static void test_a_sender_that_died_is_replaced(void **state)
{
    (void)state;
    prepare();
    decide(0);
    assert_null(meet(0));
    assert_true(broker.acknowledged[0]);
    assert_int_equal(sent(), 1);
    expect_state(BIDE_TRANSACTION_COMMITTED);
}

/* ---- another decides while the handler is asked ---- */

static void test_a_commit_that_comes_too_late_changes_nothing(void **state)
{
    (void)state;
    static void (*const ends[])(void) = {commit_and_send, drop};
    for (size_t i = 0; i < 2; i++) {
        forget_fact();
        prepare();
        struct bide_job *job = meet_open(i);
        ends[i]();
        say(job, i == 0 ? BIDE_ANSWER_ABORT : BIDE_ANSWER_COMMIT);
        all_answers();
        assert_true(broker.acknowledged[i]);
        assert_int_equal(sent(), 0);
        expect_state(i == 0 ? BIDE_TRANSACTION_COMMITTED : BIDE_TRANSACTION_ABORTED);
    }
}

/* Whoever decided is still at it: the message goes back, and is looked at again. */
static void test_it_goes_back_while_another_sends(void **state)
{
    (void)state;
    static const enum bide_answer answers[] = {BIDE_ANSWER_COMMIT, BIDE_ANSWER_ABORT};
    prepare();
    struct bide_job *jobs[] = {meet_open(0), meet_open(1), meet_open(2)};
    decide(60000);
    for (size_t i = 0; i < 2; i++) {
        say(jobs[i], answers[i]);
        all_answers();
        assert_int_equal(broker.last.verdict, BIDE_VERDICT_RELEASE);
    }
    ran(jobs[2], BIDE_DEAD, false);
    all_answers();
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RELEASE);
    assert_int_equal(sent(), 0);
    expect_state(BIDE_TRANSACTION_DECIDED);
}

/* ---- faults ---- */

static void test_it_is_held_while_the_store_is_away(void **state)
{
    (void)state;
    prepare();
    struct bide_job *job = meet_open(0);
    block_store();
    say(job, BIDE_ANSWER_COMMIT);
    await_away(true);
    assert_int_equal(broker.n, 0);
    assert_null(take_in_as(1, plain_type, ASKING));
    expect_held();
    unblock_store();
    await_away(false);
    all_answers();
    assert_true(broker.acknowledged[0]);
    assert_int_equal(sent(), 1);
}

static void test_a_worker_that_leaves_without_the_store_hands_it_back(void **state)
{
    (void)state;
    prepare();
    struct bide_job *job = meet_open(0);
    block_store();
    say(job, BIDE_ANSWER_COMMIT);
    await_away(true);
    bide_clerk_give_up(stage.clerk);
    all_answers();
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RELEASE);
    assert_int_equal(broker.n_sent, 0);
    unblock_store();
}

static void test_without_a_store_it_goes_back(void **state)
{
    (void)state;
    struct bide_clerk *clerk = stage.clerk;
    stage.passage.site.clerk = NULL;
    assert_null(take_in_as(0, plain_type, ASKING));
    stage.passage.site.clerk = clerk;
    expect_held();
}

static void test_made_up_headers_are_malformed(void **state)
{
    (void)state;
    stage.n_headers = 2; /* without terms */
    assert_null(meet(0));
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_DEAD);
    assert_int_equal(broker.last.reason, BIDE_REASON_MALFORMED);
}

/* Its id says so, and nothing else. */
static void test_an_id_alone_asks_for_nothing(void **state)
{
    (void)state;
    stage.n_headers = 0;
    struct bide_job *job = take_in_as(0, plain_type, ASKING);
    assert_non_null(job); /* without a question to the store */
    ran(job, BIDE_DONE, false);
    assert_true(broker.acknowledged[0]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_asking, tear_down_asking)
static const struct CMUnitTest tests[] = {
    CASE(test_a_commit_is_sent_and_then_acknowledged),
    CASE(test_a_commit_of_a_handler_that_sends_much),
    CASE(test_an_abort_is_acknowledged),
    CASE(test_no_answer_is_asked_again),
    CASE(test_a_handler_that_knows_when_is_asked_then),
    CASE(test_after_the_last_time_it_is_unresolved),
    CASE(test_a_dead_letter_is_unresolved),
    CASE(test_what_the_store_has_lost_is_asked_and_obeyed),
    CASE(test_once_does_not_end_it_before_it_is_decided),
    CASE(test_what_has_ended_is_not_asked),
    CASE(test_it_is_not_remembered_for_long_then),
    CASE(test_the_sender_has_its_time),
    CASE(test_a_sender_that_died_is_replaced),
    CASE(test_a_commit_that_comes_too_late_changes_nothing),
    CASE(test_it_goes_back_while_another_sends),
    CASE(test_it_is_held_while_the_store_is_away),
    CASE(test_a_worker_that_leaves_without_the_store_hands_it_back),
    CASE(test_without_a_store_it_goes_back),
    CASE(test_made_up_headers_are_malformed),
    CASE(test_an_id_alone_asks_for_nothing),
};

UNIT_MAIN(tests)
