/* worker/gates/limit.c on a store in a file: what moves, what a ticket is worth, places, 429, terms. */
#include "limits/limit.h"
#include "support/fake_clock.h"
#include "unit/once_stage.h"

enum { INTERVAL_MS = 5025 }; /* of RATE */
static const struct bide_rate RATE = {2, 10 * 1000};

static char limit_name[] = "api", header_key[] = "header:T", second_name[] = "all";
static char *by_one[] = {limit_name, NULL}, *by_two[] = {limit_name, second_name, NULL};
static struct bide_shared_limit_config limits[2];
static struct fake_clock still;

/* Time stands still, so that a busy machine makes no permit late. */
static int set_up_without_time(void **state)
{
    set_up(state);
    fake_clock_init(&still, 1800000000);
    stage.clock = &still.clock;
    return 0;
}

/* As set_up, with these limits of the type that is `once` elsewhere. */
static void begin_with(const struct bide_shared_limit_config *given, size_t n)
{
    end_process();
    for (size_t i = 0; i < n; i++)
        limits[i] = given[i];
    stage.config.limits = limits;
    stage.config.n_limits = n;
    stage.handlers[ONCE].once_ms = 0;
    stage.handlers[ONCE].limited_by = n == 1 ? by_one : by_two;
    begin();
}

static void by_rate(void)
{
    begin_with(&(struct bide_shared_limit_config){.name = limit_name, .rate = RATE, .key = header_key}, 1);
}

static void expect_moved(int64_t least_ms, int64_t most_ms)
{
    int64_t in_ms = broker.last.due_ms - bide_wall_ms(stage.passage.site.clock);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RETRY);
    assert_int_equal(broker.last.attempt, 1);
    assert_null(broker.last.failures);
    if (in_ms < least_ms || in_ms > most_ms)
        fail_msg(
            "moved by %lld ms, not %lld … %lld", (long long)in_ms, (long long)least_ms, (long long)most_ms);
}

/* It comes back from where it was moved to, half a second early, as brokers hand it out. */
static struct bide_job *come_back(size_t i, int64_t due_ms)
{
    struct bide_job_list jobs = {0};
    stage.messages[i].due_ms = due_ms;
    bide_passage_take_in(&stage.passage, &stage.deliveries[i], bide_wall_us(stage.passage.site.clock), &jobs);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
    return jobs.first ? jobs.first : all_answers();
}

static void test_what_is_over_the_rate_moves_to_its_permit_and_runs_then(void **state)
{
    (void)state;
    by_rate();
    struct bide_job *first = take_in(0, "1");
    assert_non_null(first);
    assert_true(first->begin_by_us > 0);
    assert_null(take_in(1, "2"));
    expect_moved(INTERVAL_MS - 1000, INTERVAL_MS + 1);
    int64_t due_ms = broker.last.due_ms;
    struct bide_job *second = come_back(1, due_ms);
    assert_non_null(second);
    assert_in_range(second->start_us, due_ms * 1000 - 100000, due_ms * 1000 + 5000);
    assert_true(second->begin_by_us - second->begin_from_us <= BIDE_LIMIT_LATE_US + 2000);
    ran(first, BIDE_DONE, false);
    ran(second, BIDE_DONE, false);
    all_answers();
}

static void test_a_ticket_is_used_once(void **state)
{
    (void)state;
    by_rate();
    ran(take_in(0, "1"), BIDE_DONE, false);
    assert_null(take_in(1, "2"));
    int64_t due_ms = broker.last.due_ms;
    ran(come_back(1, due_ms), BIDE_DONE, false);
    struct bide_job *again = come_back(1, due_ms); /* redelivered: it waits until it is due, and asks then */
    assert_non_null(again);
    assert_int_equal(again->begin_by_us, 1);
    ran(again, BIDE_DONE, false);
    all_answers();
}

/* What the pool does with one whose permit is over. */
static void test_a_run_that_is_late_asks_again(void **state)
{
    (void)state;
    by_rate();
    struct bide_job *job = take_in(0, "1");
    assert_false(bide_pool_is_late(job, bide_mono_us(stage.passage.site.clock)));
    assert_true(bide_pool_is_late(job, job->begin_by_us + 1));
    assert_true(bide_pool_is_late(job, job->begin_from_us - 1));
    ran(job, BIDE_DONE, false);
    all_answers();
}

static void test_an_attempt_that_was_throttled_is_spared_and_its_key_waits(void **state)
{
    (void)state;
    by_rate();
    struct bide_job *job = take_in(0, "1");
    job->run = (struct bide_run){
        .ran = true, .outcome = BIDE_RETRY, .delay_ms = 60000, .throttled = bide_strdup(limit_name)};
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
    int64_t in_ms = broker.last.due_ms - bide_wall_ms(stage.passage.site.clock);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RETRY);
    assert_int_equal(broker.last.attempt, 1);
    assert_in_range(in_ms, 50000, 61000);
    assert_null(take_in(1, "2"));
    expect_moved(50000, 61000);
}

static void test_a_throttled_key_voids_its_tickets(void **state)
{
    (void)state;
    by_rate();
    struct bide_job *job = take_in(0, "1");
    assert_null(take_in(1, "2"));
    int64_t due_ms = broker.last.due_ms;
    job->run = (struct bide_run){
        .ran = true, .outcome = BIDE_RETRY, .delay_ms = 60000, .throttled = bide_strdup("")};
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
    job = come_back(1, due_ms);
    assert_non_null(job);
    assert_int_equal(job->begin_by_us, 1); /* no ticket: it waits until it is due, to ask */
    ran(job, BIDE_DONE, false);
    all_answers();
}

static void set_terms(const struct bide_limit_terms *terms)
{
    char text[BIDE_LIMIT_TERMS_TEXT];
    struct bide_store *store;
    struct bide_store_options options = {.url = &stage.url,
        .name_space = "bide",
        .base_dir = "/",
        .client_name = "test",
        .timeout_ms = SOON_MS,
        .clock = stage.clock};
    struct bide_store_operation turn = {.kind = BIDE_STORE_TURN,
        .scope = BIDE_LIMIT_TERMS,
        .key = limit_name,
        .lasts_ms = 60000,
        .turn = {.from = BIDE_STORE_ANY, .to = 1, .data = {text, bide_limit_terms_write(terms, text)}}};
    struct bide_store_letter letter = {.operations = &turn, .n = 1};
    assert_int_equal(bide_store_open(&options, &store, NULL), BIDE_OK);
    assert_int_equal(bide_store_apply(store, &letter, 1, NULL), BIDE_OK);
    bide_store_letter_clear(&letter);
    bide_store_destroy(store);
}

static void test_what_an_operator_sets_holds_at_once_and_voids_tickets(void **state)
{
    (void)state;
    by_rate();
    ran(take_in(0, "1"), BIDE_DONE, false);
    assert_null(take_in(1, "2"));
    int64_t due_ms = broker.last.due_ms;
    set_terms(&(struct bide_limit_terms){.rate = {1, 100 * 1000}, .generation = 1});
    ran(take_in(2, "3"), BIDE_DONE, false); /* the first permit of the new terms */
    assert_null(take_in(3, "4"));
    expect_moved(90 * 1000, 101 * 1000);
    struct bide_job *job = come_back(1, due_ms);
    assert_int_equal(job->begin_by_us, 1);
    ran(job, BIDE_DONE, false);
    all_answers();
}

static void test_no_more_at_once_than_places(void **state)
{
    (void)state;
    begin_with(&(struct bide_shared_limit_config){.name = limit_name, .concurrency = 1}, 1);
    struct bide_job *first = take_in(0, "1");
    assert_non_null(first);
    assert_null(take_in(1, "2"));
    expect_moved(1, 2000);
    ran(first, BIDE_DONE, false);
    struct bide_job *third = take_in(2, "3");
    assert_non_null(third);
    bide_passage_settle(&stage.passage, third); /* it is handed back, unrun */
    bide_clerk_wake(stage.clerk);
    struct bide_job *fourth = take_in(3, "4");
    assert_non_null(fourth);
    ran(fourth, BIDE_RETRY, false);
    all_answers();
}

static void test_a_place_ends_with_its_process(void **state)
{
    (void)state;
    begin_with(&(struct bide_shared_limit_config){.name = limit_name, .concurrency = 1}, 1);
    struct bide_job *first = take_in(0, "1");
    assert_non_null(first);
    bide_free(first->limits);
    end_process();
    begin();
    struct bide_job *second = take_in(1, "2");
    assert_non_null(second);
    ran(second, BIDE_DONE, false);
    all_answers();
}

/* All or none: the limit that is used up decides, and the other loses nothing. */
static void test_of_several_limits_none_is_used_where_one_is_used_up(void **state)
{
    const struct bide_shared_limit_config two[] = {{.name = limit_name, .rate = RATE, .key = header_key},
        {.name = second_name, .rate = {1000, 1000}, .concurrency = 5}};
    (void)state;
    begin_with(two, 2);
    ran(take_in(0, "1"), BIDE_DONE, false);
    all_answers();
    assert_null(take_in(1, "2"));
    expect_moved(INTERVAL_MS - 1000, INTERVAL_MS + 1);
    struct bide_job *job = come_back(1, broker.last.due_ms);
    assert_non_null(job);
    assert_int_equal(
        job->begin_by_us, 1); /* it waits here for the permit of its ticket, and asks for the rest then */
    ran(job, BIDE_DONE, false);
    all_answers();
}

/* One asks for those that are there when it asks: four messages, two letters. */
static void test_messages_of_a_key_in_hand_together_ask_once(void **state)
{
    struct bide_job_list started = {0};
    struct bide_job *job;
    (void)state;
    begin_with(
        &(struct bide_shared_limit_config){.name = limit_name, .rate = {100, 1000}, .key = header_key}, 1);
    for (size_t i = 0; i < DELIVERIES; i++)
        assert_null(take_in_as(i, once_type, (const char *[]){"1", "2", "3", "4"}[i]));
    assert_int_equal(bide_passage_waiting(&stage.passage), DELIVERIES);
    for (struct deadline end = deadline_in_ms(SOON_MS); started.n < DELIVERIES;) {
        struct bide_job_list some = go_on();
        bide_job_append_all(&started, &some);
        assert_false(deadline_passed(&end));
    }
    assert_int_equal(atomic_load(&stage.metrics.letters), 2);
    int64_t before_us = 0;
    while ((job = bide_job_pop(&started))) {
        assert_true(
            job->begin_by_us >= before_us + 10500 || before_us == 0); /* permits of their own, in order */
        before_us = job->begin_by_us;
        ran(job, BIDE_DONE, false);
    }
    all_answers();
}

static void test_while_the_store_is_away_they_wait_in_the_broker(void **state)
{
    (void)state;
    stage.clock = NULL;
    by_rate();
    block_store();
    assert_null(take_in(0, "1"));
    await_away(true);
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RETRY);
    assert_int_equal(broker.last.attempt, 1);
    unblock_store();
    await_away(false);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_without_time, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(test_what_is_over_the_rate_moves_to_its_permit_and_runs_then),
    CASE(test_a_ticket_is_used_once),
    CASE(test_a_run_that_is_late_asks_again),
    CASE(test_an_attempt_that_was_throttled_is_spared_and_its_key_waits),
    CASE(test_a_throttled_key_voids_its_tickets),
    CASE(test_what_an_operator_sets_holds_at_once_and_voids_tickets),
    CASE(test_no_more_at_once_than_places),
    CASE(test_a_place_ends_with_its_process),
    CASE(test_of_several_limits_none_is_used_where_one_is_used_up),
    CASE(test_messages_of_a_key_in_hand_together_ask_once),
    CASE(test_while_the_store_is_away_they_wait_in_the_broker),
};

UNIT_MAIN(tests)
