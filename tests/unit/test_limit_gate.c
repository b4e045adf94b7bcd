/* worker/gates/limit.c on a store in a file: what moves, what a ticket is worth, places, 429, terms. */
#include "limits/manage.h"
#include "support/fake_clock.h"
#include "unit/once_stage.h"

enum { INTERVAL_MS = 5025 }; /* of RATE */
static const struct bide_rate RATE = {2, 10 * 1000};

static char limit_name[] = "api", header_key[] = "header:T", second_name[] = "all", second_queue[] = "second";
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

/* Without a key, and with a queue of its own. */
static void by_rate_without_key(void)
{
    stage.handlers[PLAIN].queue = second_queue;
    begin_with(&(struct bide_shared_limit_config){.name = limit_name, .rate = RATE}, 1);
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
    int64_t later_ms = due_ms - 500 - bide_wall_ms(stage.passage.site.clock);
    fake_clock_advance_ms(&still, later_ms > 0 ? later_ms : 0);
    stage.messages[i].due_ms = due_ms;
    bide_passage_take_in(&stage.passage, &stage.deliveries[i], bide_wall_us(stage.passage.site.clock), &jobs);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
    return jobs.first ? jobs.first : all_answers();
}

/* It has landed in the pool, to ask. */
static struct bide_job *ask_again(struct bide_job *job)
{
    struct bide_gate_answer answer = {0};
    assert_int_equal(job->begin_by_us, 1);
    job->asked = job->gates->n - 1;
    assert_int_equal(bide_gates_look(&stage.passage.gates, job, 1, &answer), BIDE_GATE_WAIT);
    bide_clerk_wake(stage.clerk);
    return all_answers();
}

/* How many messages of the handler are fetched at most. */
static size_t room(void)
{
    const struct bide_gate_list *list = &stage.passage.gates.lists[ONCE];
    struct bide_gate *gate = list->gates[list->n - 1];
    struct bide_gate_round round = {.now_us = bide_mono_us(&still.clock), .wait_us = -1};
    return gate->kind->room(gate, &stage.rows[ONCE], 0, &round);
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
    assert_between(second->start_us, due_ms * 1000 - 100000, due_ms * 1000 + 5000);
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
    assert_between(in_ms, 50000, 61000);
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
    struct bide_store *store = open_store();
    struct bide_store_operation turn = {.kind = BIDE_STORE_TURN,
        .scope = BIDE_LIMIT_TERMS,
        .key = limit_name,
        .lasts_ms = 60000,
        .turn = {.from = BIDE_STORE_ANY, .to = 1, .data = {text, bide_limit_terms_write(terms, text)}}};
    struct bide_store_letter letter = {.operations = &turn, .n = 1};
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

/* Those that are in hand run by the old terms, and the first by the new ones comes behind them. */
static void test_what_is_set_leaves_room_for_what_is_in_hand(void **state)
{
    const struct bide_rate quick = {100, 1000};
    (void)state;
    begin_with(
        &(struct bide_shared_limit_config){.name = limit_name, .rate = {20, 1000}, .key = header_key}, 1);
    struct bide_job *jobs[] = {take_in(0, "1"), take_in(1, "2"), take_in(2, "3")};
    struct bide_store *store = open_store();
    assert_int_equal(bide_limits_set(store, &stage.config, limit_name, &quick, 0, NULL), BIDE_OK);
    bide_store_destroy(store);
    struct bide_job *next = take_in(3, "4");
    assert_non_null(next);
    assert_true(next->begin_from_us > jobs[2]->begin_from_us + 10000);
    for (size_t i = 0; i < 3; i++)
        ran(jobs[i], BIDE_DONE, false);
    ran(next, BIDE_DONE, false);
    all_answers();
}

/* The same after a 429, even one with a short wait. */
static void test_what_is_in_hand_runs_before_the_first_after_a_429(void **state)
{
    (void)state;
    begin_with(
        &(struct bide_shared_limit_config){.name = limit_name, .rate = {20, 1000}, .key = header_key}, 1);
    struct bide_job *jobs[] = {take_in(0, "1"), take_in(1, "2"), take_in(2, "3")};
    jobs[0]->run =
        (struct bide_run){.ran = true, .outcome = BIDE_RETRY, .delay_ms = 1, .throttled = bide_strdup("")};
    bide_passage_settle(&stage.passage, jobs[0]);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
    assert_null(take_in(3, "4"));
    expect_moved(2000, 2200);
    ran(jobs[1], BIDE_DONE, false);
    ran(jobs[2], BIDE_DONE, false);
    all_answers();
}

/* The queue is fetched from all the time, so that no permit passes unused; and nothing is reserved long
 * before, so that what an operator sets holds soon. */
static void test_without_a_key_they_wait_in_hand_and_ask_until_their_turn_is_near(void **state)
{
    (void)state;
    by_rate_without_key();
    ran(take_in(0, "1"), BIDE_DONE, false);
    size_t n = broker.n;
    struct bide_job *job = take_in(1, "2");
    assert_non_null(job);
    int64_t in_us = job->start_us - bide_wall_us(&still.clock);
    assert_between(in_us, (INTERVAL_MS - 1000) * 1000, INTERVAL_MS * 1000);
    assert_int_equal(room(), 1);
    fake_clock_advance_us(&still, in_us);
    job = ask_again(job);
    assert_non_null(job);
    assert_true(job->begin_by_us > bide_mono_us(&still.clock));
    ran(job, BIDE_DONE, false);
    job = take_in(2, "3");
    set_terms(&(struct bide_limit_terms){.rate = {1000, 1000}, .generation = 1});
    fake_clock_advance_ms(&still, 1000);
    job = ask_again(job);
    assert_non_null(job);
    assert_between(job->begin_by_us, bide_mono_us(&still.clock), bide_mono_us(&still.clock) + 60000);
    ran(job, BIDE_DONE, false);
    all_answers();
    assert_int_equal(broker.n, n + 2); /* none moved */
}

/* What has no thread would lose its permit, ask again, and go round. */
static void test_without_a_key_no_more_slow_ones_are_fetched_than_there_are_threads(void **state)
{
    (void)state;
    stage.handlers[PLAIN].queue = second_queue;
    begin_with(&(struct bide_shared_limit_config){.name = limit_name, .rate = {1000, 1000}}, 1);
    assert_int_equal(room(), 251);
    struct bide_job *job = take_in(0, "1");
    job->run = (struct bide_run){.ran = true, .outcome = BIDE_DONE, .took_us = 3000 * 1000};
    bide_passage_settle(&stage.passage, job);
    assert_int_equal(room(), stage.config.worker.threads);
    for (size_t i = 0; i < 20; i++)
        ran(take_in(0, "1"), BIDE_DONE, false); /* in no time */
    assert_int_equal(room(), 251);
    all_answers();
}

/* Brokers do not leave a message in hand for ever. */
static void test_without_a_key_what_waits_for_minutes_goes_back_for_a_moment(void **state)
{
    (void)state;
    stage.handlers[PLAIN].queue = second_queue;
    begin_with(&(struct bide_shared_limit_config){.name = limit_name, .rate = {1, 3600 * 1000}}, 1);
    ran(take_in(0, "1"), BIDE_DONE, false);
    struct bide_job *job = take_in(1, "2");
    for (int i = 0; i < 10 && job; i++) {
        fake_clock_advance_ms(&still, 31 * 1000);
        job = ask_again(job);
    }
    assert_null(job);
    expect_moved(250, 1000);
}

/* Somebody has rescheduled it, or a clock was set. */
static void test_a_ticket_that_comes_long_before_its_time_moves_on(void **state)
{
    (void)state;
    by_rate();
    ran(take_in(0, "1"), BIDE_DONE, false);
    assert_null(take_in(1, "2"));
    int64_t due_ms = broker.last.due_ms;
    assert_null(come_back(1, stage.messages[1].sent_ms + 1));
    assert_int_equal(broker.last.due_ms, due_ms);
    struct bide_job *job = come_back(1, due_ms);
    assert_non_null(job);
    assert_true(job->begin_by_us > 1);
    ran(job, BIDE_DONE, false);
    all_answers();
}

static void test_who_finds_no_place_does_not_wait_longer_because_runs_were_long(void **state)
{
    (void)state;
    begin_with(&(struct bide_shared_limit_config){.name = limit_name, .concurrency = 1}, 1);
    struct bide_job *job = take_in(0, "1");
    job->run = (struct bide_run){.ran = true, .outcome = BIDE_DONE, .took_us = INT64_C(36000) * 1000 * 1000};
    bide_passage_settle(&stage.passage, job);
    job = take_in(1, "2");
    assert_non_null(job);
    assert_null(take_in(2, "3"));
    expect_moved(1000, 46 * 1000);
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
    CASE(test_what_is_set_leaves_room_for_what_is_in_hand),
    CASE(test_what_is_in_hand_runs_before_the_first_after_a_429),
    CASE(test_without_a_key_they_wait_in_hand_and_ask_until_their_turn_is_near),
    CASE(test_without_a_key_no_more_slow_ones_are_fetched_than_there_are_threads),
    CASE(test_without_a_key_what_waits_for_minutes_goes_back_for_a_moment),
    CASE(test_a_ticket_that_comes_long_before_its_time_moves_on),
    CASE(test_who_finds_no_place_does_not_wait_longer_because_runs_were_long),
    CASE(test_no_more_at_once_than_places),
    CASE(test_a_place_ends_with_its_process),
    CASE(test_of_several_limits_none_is_used_where_one_is_used_up),
    CASE(test_messages_of_a_key_in_hand_together_ask_once),
    CASE(test_while_the_store_is_away_they_wait_in_the_broker),
};

UNIT_MAIN(tests)
