/* worker/gates/stream.c: the store is told how members of streams end, before they are settled; and who tells
 * of the end. */
#include "base/hash.h"
#include "streams/manage.h"
#include "unit/once_stage.h"
#include "worker/ending.h"

#define STREAM "stream-0193f9c1-7a55-7c3e-9a10-1f2e3d4c5b6a"
#define END STREAM ":end@first"

/* A stream of so many members, all sent to `queue`. */
static void record(const char *queue, int64_t total)
{
    struct bide_store *store = open_store();
    const struct bide_stream_info info = {.id = STREAM,
        .target = queue,
        .name = "",
        .on_end = "ended",
        .queues = {queue},
        .n_queues = 1,
        .sent_ms = 1,
        .deadline_ms = 60000};
    assert_int_equal(bide_stream_record(store, &info, NULL), BIDE_OK);
    assert_int_equal(bide_stream_record_total(store, &info, total, 0, 2, NULL), BIDE_OK);
    bide_store_destroy(store);
}

static void cancel_stream(void)
{
    struct bide_store *store = open_store();
    assert_int_equal(bide_stream_record_cancel(store, STREAM, NULL), BIDE_OK);
    bide_store_destroy(store);
}

static void note_part(void *user, const bide_stream_view *view)
{
    *(bide_stream_part *)user = view->parts[0];
}

static void expect_counts(int64_t done, int64_t dead, int64_t dropped)
{
    struct bide_store *store = open_store();
    bide_stream_part part;
    assert_int_equal(bide_stream_see(store, STREAM, note_part, &part, NULL), BIDE_OK);
    bide_store_destroy(store);
    assert_int_equal(part.done, done);
    assert_int_equal(part.dead, dead);
    assert_int_equal(part.dropped, dropped);
}

static const char *id_of(int member)
{
    static char id[80];
    snprintf(id, sizeof id, STREAM ":%d", member);
    return id;
}

/* Takes it in, and returns the job that may run; NULL: it does not. */
static struct bide_job *meet(size_t i, const char *type, const char *id)
{
    struct bide_job *job = take_in_as(i, type, id);
    return job ? job : all_answers();
}

static void run_member(size_t i, int member, bide_outcome outcome)
{
    struct bide_job *job = meet(i, plain_type, id_of(member));
    assert_non_null(job);
    ran(job, outcome, false);
    all_answers();
}

static void expect_end(const char *what)
{
    assert_int_equal(broker.n_sent, 1);
    assert_string_equal(broker.sent_id, END);
    assert_non_null(strstr(broker.sent_body, what));
    broker.n_sent = 0;
}

/* ---- ends ---- */

static void test_a_member_arrives_before_it_is_acknowledged(void **state)
{
    (void)state;
    record(queue_name, 2);
    struct bide_job *job = meet(0, plain_type, id_of(1));
    assert_non_null(job);
    expect_counts(0, 0, 0);
    ran(job, BIDE_DONE, false);
    assert_int_equal(broker.n, 0); /* the store is told first */
    all_answers();
    assert_true(broker.acknowledged[0]);
    expect_counts(1, 0, 0);
    assert_int_equal(broker.n_sent, 0);
}

static void test_the_last_one_tells_of_the_end_with_the_counts(void **state)
{
    (void)state;
    record(queue_name, 3);
    run_member(0, 3, BIDE_DONE);
    run_member(1, 1, BIDE_DONE);
    assert_int_equal(broker.n_sent, 0);
    run_member(2, 2, BIDE_DEAD);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_DEAD);
    expect_end("\"state\":\"complete\",\"total\":3,\"done\":2,\"dead\":1,\"dropped\":0");
    expect_counts(2, 1, 0);
}

static void test_a_retry_is_no_end(void **state)
{
    (void)state;
    record(queue_name, 1);
    run_member(0, 1, BIDE_RETRY);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RETRY);
    expect_counts(0, 0, 0);
    run_member(0, 1, BIDE_DONE);
    expect_end("\"done\":1");
}

/* Only what completed the set tells of it again: the worker may have died before that was sent. */
static void test_what_comes_again_after_the_end(void **state)
{
    (void)state;
    record(queue_name, 2);
    run_member(0, 1, BIDE_DONE);
    run_member(1, 2, BIDE_DONE);
    expect_end("\"done\":2");
    end_process();
    begin();
    run_member(1, 2, BIDE_DONE);
    expect_end("\"done\":2");
    run_member(0, 1, BIDE_DEAD);
    assert_int_equal(broker.n_sent, 0);
}

/* Killed before it was settled, it comes again and ends otherwise; or its dead letter is replayed. */
static void test_how_a_member_ended_first_counts(void **state)
{
    (void)state;
    record(queue_name, 3);
    run_member(0, 1, BIDE_DONE);
    run_member(0, 1, BIDE_DEAD);
    expect_counts(1, 0, 0);
    run_member(1, 2, BIDE_DEAD);
    run_member(1, 2, BIDE_DONE);
    expect_counts(1, 1, 0);
    cancel_stream();
    end_process();
    begin();
    assert_null(meet(1, plain_type, id_of(2)));
    expect_counts(1, 1, 0);
    assert_null(meet(2, plain_type, id_of(3)));
    expect_end("\"done\":1,\"dead\":1,\"dropped\":1");
}

static void test_what_a_run_has_sent_is_in_the_broker_first(void **state)
{
    (void)state;
    record(queue_name, 1);
    struct bide_job *job = meet(0, plain_type, id_of(1));
    ran(job, BIDE_DONE, true);
    all_answers();
    assert_true(broker.acknowledged[0]);
    expect_end("\"done\":1"); /* alone: the clerk has sent the other one */
}

/* So many streams of the same row (worker/gates/stream.c) that what the process knew of this one is gone. */
static void meet_other_streams(size_t i)
{
    enum { SAME_ROW = 12 };
    for (int other = 0, found = 0; found < SAME_ROW; other++) {
        char stream[48], id[64];
        snprintf(stream, sizeof stream, "stream-0193f9c1-7a55-7c3e-9a10-%012x", other);
        if (bide_hash_text(stream) % 1024 != bide_hash_text(STREAM) % 1024)
            continue;
        snprintf(id, sizeof id, "%s:1", stream);
        assert_null(take_in_as(i, "unknown", id));
        found++;
    }
}

/* The receiver goes on with what was refused, as it does without a stream. */
static void test_a_member_whose_messages_are_refused_ends(void **state)
{
    static const struct bide_adapter refusing = {.name = "refusing", .open_sender = open_refusing};
    (void)state;
    record(queue_name, 2);
    stage.broker.adapter = &refusing;
    for (int i = 0; i < 2; i++) {
        struct bide_job *job = meet(0, plain_type, id_of(i + 1));
        ran(job, BIDE_DONE, true);
        size_t before = broker.n;
        if (i == 1)
            meet_other_streams(1);
        all_answers();
        assert_true(broker.n > before);
        expect_counts(i + 1, 0, 0);
    }
    assert_true(broker.acknowledged[0]);
    assert_int_equal(broker.n_sent, 3); /* with the end message */
}

static void test_a_member_of_a_handler_with_once(void **state)
{
    (void)state;
    record(queue_name, 1);
    struct bide_job *job = meet(0, once_type, id_of(1));
    ran(job, BIDE_DONE, false);
    all_answers();
    expect_end("\"done\":1");
    assert_null(meet(0, once_type, id_of(1))); /* it dies before the acknowledgement */
    assert_true(broker.acknowledged[0]);
    expect_end("\"done\":1");
}

/* ---- without a run ---- */

static void test_a_member_that_no_handler_takes_is_dead(void **state)
{
    (void)state;
    record(queue_name, 1);
    assert_null(meet(0, "unknown", id_of(1)));
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_DEAD);
    expect_end("\"done\":0,\"dead\":1");
}

static void test_a_member_that_expires_is_dropped(void **state)
{
    (void)state;
    record(queue_name, 1);
    struct bide_job *job = meet(0, plain_type, id_of(1));
    job->run = (struct bide_run){.expired = true};
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
    all_answers();
    assert_true(broker.acknowledged[0]);
    expect_end("\"dead\":0,\"dropped\":1");
}

static void test_members_of_a_cancelled_stream_do_not_run(void **state)
{
    (void)state;
    record(queue_name, 2);
    cancel_stream();
    assert_null(meet(0, plain_type, id_of(1)));
    assert_true(broker.acknowledged[0]);
    assert_null(meet(1, plain_type, id_of(2)));
    assert_int_equal(stage.passage.settling.counts[BIDE_COUNT_CANCELLED], 2);
    expect_end("\"state\":\"cancelled\"");
    expect_counts(0, 0, 2);
}

/* ---- no streams ---- */

static void test_what_the_store_knows_nothing_of_runs(void **state)
{
    (void)state;
    run_member(0, 1, BIDE_DONE);
    assert_true(broker.acknowledged[0]);
    run_member(1, 2, BIDE_DEAD);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_DEAD);
    assert_null(meet(2, plain_type, STREAM ":deadline@first"));
    assert_true(broker.acknowledged[2]);
    assert_int_equal(broker.n_sent, 0);
}

static void test_a_stream_that_does_not_wait_for_this_queue(void **state)
{
    (void)state;
    record("second", 1);
    cancel_stream();
    run_member(0, 1, BIDE_DONE);
    assert_true(broker.acknowledged[0]);
    assert_int_equal(broker.n_sent, 0);
    expect_counts(0, 0, 0);
}

static void test_an_end_message_is_as_any_other(void **state)
{
    (void)state;
    record(queue_name, 1);
    struct bide_job *job = take_in_as(0, plain_type, END);
    assert_non_null(job); /* without a question to the store */
    ran(job, BIDE_DONE, false);
    assert_true(broker.acknowledged[0]);
}

/* ---- the deadline ---- */

static void test_the_deadline_tells_of_the_end_where_nobody_has(void **state)
{
    (void)state;
    record(queue_name, 2);
    run_member(0, 1, BIDE_DONE);
    for (int i = 0; i < 2; i++) { /* its answer may be lost */
        assert_null(meet(1, plain_type, STREAM ":deadline@first"));
        assert_true(broker.acknowledged[1]);
        expect_end("\"state\":\"failed\",\"total\":2,\"done\":1");
    }
    run_member(2, 2, BIDE_DONE); /* too late */
    assert_int_equal(broker.n_sent, 0);
}

/* A worker that has written the failure and dies before it is told: the members that end meanwhile change
 * nothing. */
static void test_a_failure_is_told_though_the_rest_has_ended_since(void **state)
{
    (void)state;
    record(queue_name, 1);
    assert_null(meet(0, plain_type, STREAM ":deadline@first"));
    broker.n_sent = 0; /* it was not settled */
    run_member(1, 1, BIDE_DONE);
    assert_int_equal(broker.n_sent, 0);
    assert_null(meet(0, plain_type, STREAM ":deadline@first"));
    expect_end("\"state\":\"failed\",\"total\":1,\"done\":1");
}

static void test_the_deadline_of_a_complete_stream_is_nothing(void **state)
{
    (void)state;
    record(queue_name, 1);
    run_member(0, 1, BIDE_DONE);
    expect_end("\"done\":1");
    assert_null(meet(1, plain_type, STREAM ":deadline@first"));
    assert_true(broker.acknowledged[1]);
    assert_int_equal(broker.n_sent, 0);
}

/* ---- the store is away ---- */

static void test_members_are_held_while_the_store_is_away(void **state)
{
    (void)state;
    record(queue_name, 2);
    struct bide_job *job = meet(0, plain_type, id_of(1));
    block_store();
    ran(job, BIDE_DONE, false);
    await_away(true);
    assert_int_equal(broker.n, 0);
    assert_null(take_in_as(1, plain_type, id_of(2)));
    expect_held();
    unblock_store();
    await_away(false);
    all_answers();
    assert_true(broker.acknowledged[0]);
    expect_counts(1, 0, 0);
}

/* It is handed out again: nothing else would tell the store. */
static void test_a_worker_that_leaves_without_the_store_hands_its_members_back(void **state)
{
    (void)state;
    record(queue_name, 1);
    struct bide_job *job = meet(0, plain_type, id_of(1));
    block_store();
    ran(job, BIDE_DONE, true);
    await_away(true);
    bide_clerk_give_up(stage.clerk);
    all_answers();
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RELEASE);
    assert_false(broker.acknowledged[0]);
    assert_int_equal(broker.n_sent, 0);
    unblock_store();
}

static void test_a_worker_that_ends_waits_for_a_store_that_is_away_for_a_moment(void **state)
{
    struct bide_ending ending = {.stage = BIDE_STAGE_DRAINING, .ends_us = INT64_MAX - 1};
    (void)state;
    record(queue_name, 1);
    struct bide_job *job = meet(0, plain_type, id_of(1));
    block_store();
    ran(job, BIDE_DONE, true);
    await_away(true);
    bide_ending_advance(&ending, &stage.passage, 0, bide_mono_us(stage.passage.site.clock));
    assert_int_equal(ending.stage, BIDE_STAGE_DRAINING);
    assert_true(bide_ending_wait_us(&ending, 0) < 1000 * 1000);
    unblock_store();
    await_away(false);
    all_answers();
    assert_true(broker.acknowledged[0]);
    bide_ending_advance(&ending, &stage.passage, 0, bide_mono_us(stage.passage.site.clock));
    assert_int_not_equal(ending.stage, BIDE_STAGE_DRAINING);
}

/* A broker that is away may be back before `drain` is over. */
static void test_what_drain_leaves_is_for_the_last_settlements(void **state)
{
    const int64_t second_us = 1000 * 1000, now_us = 1000 * second_us;
    (void)state;
    stage.config.worker.drain_ms = 30 * 1000;
    broker.unsettled = 1;
    struct bide_ending ending = {
        .stage = BIDE_STAGE_DRAINING, .stops = 1, .ends_us = now_us + 20 * second_us};
    bide_ending_advance(&ending, &stage.passage, 0, now_us);
    assert_int_equal(ending.stage, BIDE_STAGE_LEAVING);
    assert_int_equal(ending.ends_us, now_us + 20 * second_us);
    bide_ending_advance(&ending, &stage.passage, 0, now_us + 6 * second_us);
    assert_int_equal(ending.stage, BIDE_STAGE_LEAVING);
    atomic_store(&ending.stops, 2); /* a second signal */
    bide_ending_advance(&ending, &stage.passage, 0, now_us + 7 * second_us);
    assert_int_equal(ending.ends_us, now_us + 12 * second_us);
    broker.unsettled = 0;
    bide_ending_advance(&ending, &stage.passage, 0, now_us + 8 * second_us);
    assert_int_equal(ending.stage, BIDE_STAGE_ENDED);
}

static void test_the_last_settlements_have_some_seconds_at_least_and_drain_at_most(void **state)
{
    static const int64_t now_us = 1000, ends_us[] = {1001, INT64_MAX}, wanted_s[] = {5, 30};
    (void)state;
    stage.config.worker.drain_ms = 30 * 1000;
    broker.unsettled = 1;
    for (size_t i = 0; i < COUNT_OF(ends_us); i++) {
        struct bide_ending ending = {.stage = BIDE_STAGE_DRAINING, .ends_us = ends_us[i]};
        bide_ending_advance(&ending, &stage.passage, 0, now_us);
        assert_int_equal(ending.ends_us, now_us + wanted_s[i] * 1000 * 1000);
    }
}

static void test_without_a_store_members_go_back(void **state)
{
    (void)state;
    struct bide_clerk *clerk = stage.clerk;
    stage.passage.site.clerk = NULL;
    assert_null(take_in_as(0, plain_type, id_of(1)));
    stage.passage.site.clerk = clerk;
    expect_held();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(test_a_member_arrives_before_it_is_acknowledged),
    CASE(test_the_last_one_tells_of_the_end_with_the_counts),
    CASE(test_a_retry_is_no_end),
    CASE(test_what_comes_again_after_the_end),
    CASE(test_how_a_member_ended_first_counts),
    CASE(test_what_a_run_has_sent_is_in_the_broker_first),
    CASE(test_a_member_whose_messages_are_refused_ends),
    CASE(test_a_member_of_a_handler_with_once),
    CASE(test_a_member_that_no_handler_takes_is_dead),
    CASE(test_a_member_that_expires_is_dropped),
    CASE(test_members_of_a_cancelled_stream_do_not_run),
    CASE(test_what_the_store_knows_nothing_of_runs),
    CASE(test_a_stream_that_does_not_wait_for_this_queue),
    CASE(test_an_end_message_is_as_any_other),
    CASE(test_the_deadline_tells_of_the_end_where_nobody_has),
    CASE(test_a_failure_is_told_though_the_rest_has_ended_since),
    CASE(test_the_deadline_of_a_complete_stream_is_nothing),
    CASE(test_members_are_held_while_the_store_is_away),
    CASE(test_a_worker_that_ends_waits_for_a_store_that_is_away_for_a_moment),
    CASE(test_a_worker_that_leaves_without_the_store_hands_its_members_back),
    CASE(test_what_drain_leaves_is_for_the_last_settlements),
    CASE(test_the_last_settlements_have_some_seconds_at_least_and_drain_at_most),
    CASE(test_without_a_store_members_go_back),
};

UNIT_MAIN(tests)
