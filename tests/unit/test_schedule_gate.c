/* worker/gates/schedule.c: of two messages that were sent for one slot, one runs. */
#include "unit/once_stage.h"

static char schedule_name[] = BIDE_SCHEDULE_HEADER, slot_name[] = BIDE_SLOT_HEADER,
            copy_name[] = BIDE_COPY_HEADER;

/* The message of a slot comes in, for a handler that needs no store. Returns it where it may start. */
static struct bide_job *take_copy(size_t i, const char *slot, const char *copy)
{
    struct bide_header headers[] = {{schedule_name, "beat"}, {slot_name, slot}, {copy_name, copy}};
    stage.headers = headers;
    stage.n_headers = COUNT_OF(headers);
    assert_null(take_in_as(i, plain_type, "beat"));
    struct bide_job *job = all_answers();
    stage.headers = NULL;
    stage.n_headers = 0;
    return job;
}

static void end(struct bide_job *job, bide_outcome outcome)
{
    ran(job, outcome, false);
    all_answers();
}

static void the_second_copy_is_a_duplicate(void **state)
{
    (void)state;
    struct bide_job *job = take_copy(0, "1000", "first");
    assert_non_null(job);
    assert_null(take_copy(1, "1000", "second")); /* while the first one runs */
    assert_true(broker.acknowledged[1]);
    end(job, BIDE_DONE);
    assert_null(take_copy(2, "1000", "third")); /* and afterwards */
    assert_true(broker.acknowledged[2]);
    assert_int_equal(stage.passage.settling.counts[BIDE_COUNT_DUPLICATE], 2);
}

static void a_copy_that_comes_again_runs(void **state)
{
    (void)state;
    end(take_copy(0, "1000", "first"), BIDE_RETRY);
    struct bide_job *job = take_copy(1, "1000", "first");
    assert_non_null(job);
    end_process(); /* it dies in the middle of the run */
    begin();
    assert_non_null(job = take_copy(2, "1000", "first"));
    end(job, BIDE_DONE);
    assert_int_equal(stage.passage.settling.counts[BIDE_COUNT_DUPLICATE], 0);
}

/* The slot's message was sent to a topic, twice: each subscription runs one, whichever comes first. */
static void of_each_subscription_one_runs(void **state)
{
    (void)state;
    stage.queue = "geo@logs";
    end(take_copy(0, "1000", "first"), BIDE_DONE);
    stage.queue = "errors@logs";
    end(take_copy(1, "1000", "second"), BIDE_DONE);
    assert_null(take_copy(2, "1000", "first"));
    assert_true(broker.acknowledged[2]);
}

/* A later slot may well begin before an earlier one, which then still runs. */
static void slots_are_apart(void **state)
{
    (void)state;
    struct bide_job *later = take_copy(0, "2000", "a"), *earlier = take_copy(1, "1000", "b");
    assert_non_null(later);
    assert_non_null(earlier);
    end(later, BIDE_DONE);
    end(earlier, BIDE_DONE);
}

static void it_waits_for_a_store_that_is_away(void **state)
{
    (void)state;
    block_store();
    assert_null(take_copy(0, "1000", "first"));
    expect_held();
    unblock_store();
}

static void other_messages_never_meet_the_store(void **state)
{
    (void)state;
    struct bide_header own[] = {{"mine", "1"}, {schedule_name, "beat"}};
    stage.headers = own;
    stage.n_headers = COUNT_OF(own);
    struct bide_job *job = take_in_as(0, plain_type, "1");
    assert_non_null(job); /* no slot: it runs */
    stage.headers = NULL;
    stage.n_headers = 0;
    ran(job, BIDE_DONE, false);
    assert_int_equal(broker.n, 1);
    assert_int_equal(stage.metrics.batches, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    CASE(the_second_copy_is_a_duplicate),
    CASE(a_copy_that_comes_again_runs),
    CASE(of_each_subscription_one_runs),
    CASE(slots_are_apart),
    CASE(it_waits_for_a_store_that_is_away),
    CASE(other_messages_never_meet_the_store),
};

UNIT_MAIN(tests)
