/* outcome/breaker: the circuit on a made-up clock. */
#include "outcome/breaker.h"

#include "unit/unit.h"

enum { LOST_MS = 3000 };

static const struct bide_breaker_config config = {
    .failure_rate = 0.5, .window_ms = 10000, .min_runs = 20, .pause_ms = 5000, .max_pause_ms = 15000};

static enum bide_breaker_change run(struct bide_breaker *breaker, int64_t now_ms, enum bide_sign sign)
{
    return bide_breaker_report(breaker, &config, now_ms, false, sign);
}

static enum bide_breaker_change probe(struct bide_breaker *breaker, int64_t now_ms, enum bide_sign sign)
{
    return bide_breaker_report(breaker, &config, now_ms, true, sign);
}

static enum bide_admission admit(struct bide_breaker *breaker, int64_t now_ms)
{
    return bide_breaker_admit(breaker, now_ms, LOST_MS);
}

/* Open since `now_ms`. */
static struct bide_breaker opened(int64_t now_ms)
{
    struct bide_breaker breaker = {0};
    for (int i = 1; i < config.min_runs; i++)
        assert_int_equal(run(&breaker, now_ms, BIDE_SIGN_BAD), BIDE_BREAKER_SAME);
    assert_int_equal(run(&breaker, now_ms, BIDE_SIGN_BAD), BIDE_BREAKER_OPENED);
    assert_int_equal(breaker.state, BIDE_CIRCUIT_OPEN);
    return breaker;
}

static void test_few_runs_never_open_it(void **state)
{
    (void)state;
    struct bide_breaker breaker = {0};
    for (int i = 1; i < config.min_runs; i++)
        assert_int_equal(run(&breaker, 1000, BIDE_SIGN_BAD), BIDE_BREAKER_SAME);
    assert_int_equal(admit(&breaker, 1000), BIDE_ADMIT_RUN);
    assert_int_equal(bide_breaker_wait_ms(&breaker, 1000), 0);
}

static void test_the_rate_decides(void **state)
{
    (void)state;
    struct bide_breaker breaker = {0};
    for (int i = 0; i < 25; i++) {
        assert_int_equal(run(&breaker, 1000, BIDE_SIGN_BAD), BIDE_BREAKER_SAME);
        assert_int_equal(run(&breaker, 1000, BIDE_SIGN_GOOD), BIDE_BREAKER_SAME);
        assert_int_equal(run(&breaker, 1000, BIDE_SIGN_GOOD), BIDE_BREAKER_SAME);
        if (i % 5 == 0)
            assert_int_equal(run(&breaker, 1000, BIDE_SIGN_BAD), BIDE_BREAKER_SAME);
    }
    for (int i = 0; i < 19; i++) /* 30 of 80 failed, then 49 of 99 */
        assert_int_equal(run(&breaker, 1001, BIDE_SIGN_BAD), BIDE_BREAKER_SAME);
    assert_int_equal(run(&breaker, 1002, BIDE_SIGN_BAD), BIDE_BREAKER_OPENED);
}

static void test_failures_in_a_row_open_it(void **state)
{
    (void)state;
    struct bide_breaker breaker = {0};
    for (int i = 0; i < 5000; i++)
        run(&breaker, 1000, BIDE_SIGN_GOOD);
    for (int i = 1; i < config.min_runs; i++)
        assert_int_equal(run(&breaker, 1001, BIDE_SIGN_BAD), BIDE_BREAKER_SAME);
    assert_int_equal(run(&breaker, 1001, BIDE_SIGN_BAD), BIDE_BREAKER_OPENED);
}

static void test_rejections_say_nothing(void **state)
{
    (void)state;
    struct bide_breaker breaker = {0};
    uint32_t runs, failures;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(run(&breaker, 1000, BIDE_SIGN_NONE), BIDE_BREAKER_SAME);
    bide_breaker_count(&breaker, &runs, &failures);
    assert_int_equal(runs, 0);
    assert_int_equal(failures, 0);
}

static void test_old_failures_leave_the_window(void **state)
{
    (void)state;
    struct bide_breaker breaker = {0};
    uint32_t runs, failures;
    for (int i = 0; i < 19; i++)
        run(&breaker, 1000, BIDE_SIGN_BAD);
    assert_int_equal(run(&breaker, 11000, BIDE_SIGN_BAD), BIDE_BREAKER_SAME);
    bide_breaker_count(&breaker, &runs, &failures);
    assert_int_equal(runs, 1);
    for (int second = 12; second < 20;
         second++) /* two a second: at most 20 in any window, the older ones gone */
        run(&breaker, second * 1000, BIDE_SIGN_BAD);
    bide_breaker_count(&breaker, &runs, &failures);
    assert_int_equal(failures, 9);
    run(&breaker, 21000, BIDE_SIGN_BAD);
    bide_breaker_count(&breaker, &runs, &failures);
    assert_int_equal(failures, 9); /* one came, one left */
}

static void test_a_long_silence_and_a_clock_that_went_back(void **state)
{
    (void)state;
    struct bide_breaker breaker = {0};
    uint32_t runs, failures;
    run(&breaker, 5000, BIDE_SIGN_BAD);
    run(&breaker, INT64_C(1) << 50, BIDE_SIGN_BAD);
    bide_breaker_count(&breaker, &runs, &failures);
    assert_int_equal(runs, 1);
    run(&breaker, 5000, BIDE_SIGN_BAD);
    bide_breaker_count(&breaker, &runs, &failures);
    assert_int_equal(runs, 1);
}

static void test_open_holds_until_its_pause_is_over(void **state)
{
    (void)state;
    struct bide_breaker breaker = opened(1000);
    assert_int_equal(admit(&breaker, 1000), BIDE_ADMIT_HOLD);
    assert_int_equal(bide_breaker_wait_ms(&breaker, 1000), 5000);
    assert_int_equal(admit(&breaker, 5999), BIDE_ADMIT_HOLD);
    assert_int_equal(bide_breaker_wait_ms(&breaker, 5999), 1);
    assert_int_equal(admit(&breaker, 6000), BIDE_ADMIT_PROBE);
    assert_int_equal(breaker.state, BIDE_CIRCUIT_HALF_OPEN);
    assert_int_equal(admit(&breaker, 6000), BIDE_ADMIT_HOLD); /* one at a time */
}

static void test_stragglers_change_nothing(void **state)
{
    (void)state;
    struct bide_breaker breaker = opened(1000);
    assert_int_equal(run(&breaker, 1001, BIDE_SIGN_BAD), BIDE_BREAKER_SAME);
    assert_int_equal(run(&breaker, 1001, BIDE_SIGN_GOOD), BIDE_BREAKER_SAME);
    assert_int_equal(breaker.state, BIDE_CIRCUIT_OPEN);
    assert_int_equal(bide_breaker_wait_ms(&breaker, 1001), 4999);
}

static void test_success_closes(void **state)
{
    (void)state;
    struct bide_breaker breaker = opened(1000);
    assert_int_equal(admit(&breaker, 6000), BIDE_ADMIT_PROBE);
    assert_int_equal(probe(&breaker, 6100, BIDE_SIGN_GOOD), BIDE_BREAKER_CLOSED);
    assert_int_equal(admit(&breaker, 6100), BIDE_ADMIT_RUN);
    for (int i = 1; i < config.min_runs; i++) /* counts anew, and its pause is the first one again */
        assert_int_equal(run(&breaker, 6200, BIDE_SIGN_BAD), BIDE_BREAKER_SAME);
    assert_int_equal(run(&breaker, 6200, BIDE_SIGN_BAD), BIDE_BREAKER_OPENED);
    assert_int_equal(bide_breaker_wait_ms(&breaker, 6200), 5000);
}

static void test_failure_doubles_the_pause_up_to_its_limit(void **state)
{
    (void)state;
    struct bide_breaker breaker = opened(0);
    static const int64_t pauses[] = {10000, 15000, 15000};
    int64_t now_ms = 5000;
    for (size_t i = 0; i < COUNT_OF(pauses); i++) {
        assert_int_equal(admit(&breaker, now_ms), BIDE_ADMIT_PROBE);
        assert_int_equal(probe(&breaker, now_ms, BIDE_SIGN_BAD), BIDE_BREAKER_REOPENED);
        assert_int_equal(bide_breaker_wait_ms(&breaker, now_ms), pauses[i]);
        now_ms += pauses[i];
    }
    assert_int_equal(breaker.opened_ms, 0);
}

static void test_a_probe_that_says_nothing_makes_room(void **state)
{
    (void)state;
    struct bide_breaker breaker = opened(0);
    assert_int_equal(admit(&breaker, 5000), BIDE_ADMIT_PROBE);
    assert_int_equal(probe(&breaker, 5001, BIDE_SIGN_NONE), BIDE_BREAKER_SAME);
    assert_int_equal(admit(&breaker, 5002), BIDE_ADMIT_PROBE);
}

static void test_a_lost_probe_makes_room(void **state)
{
    (void)state;
    struct bide_breaker breaker = opened(0);
    assert_int_equal(admit(&breaker, 5000), BIDE_ADMIT_PROBE);
    assert_int_equal(bide_breaker_wait_ms(&breaker, 5000), LOST_MS);
    assert_int_equal(admit(&breaker, 5000 + LOST_MS - 1), BIDE_ADMIT_HOLD);
    assert_int_equal(admit(&breaker, 5000 + LOST_MS), BIDE_ADMIT_PROBE);
}

static void test_a_late_report_of_a_lost_probe(void **state)
{
    (void)state;
    struct bide_breaker breaker = opened(0);
    assert_int_equal(admit(&breaker, 5000), BIDE_ADMIT_PROBE);
    assert_int_equal(admit(&breaker, 5000 + LOST_MS), BIDE_ADMIT_PROBE);
    assert_int_equal(probe(&breaker, 5000 + LOST_MS, BIDE_SIGN_GOOD), BIDE_BREAKER_CLOSED);
    assert_int_equal(probe(&breaker, 5001 + LOST_MS, BIDE_SIGN_BAD), BIDE_BREAKER_SAME); /* one of many now */
    assert_int_equal(breaker.state, BIDE_CIRCUIT_CLOSED);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_few_runs_never_open_it),
    cmocka_unit_test(test_the_rate_decides),
    cmocka_unit_test(test_failures_in_a_row_open_it),
    cmocka_unit_test(test_rejections_say_nothing),
    cmocka_unit_test(test_old_failures_leave_the_window),
    cmocka_unit_test(test_a_long_silence_and_a_clock_that_went_back),
    cmocka_unit_test(test_open_holds_until_its_pause_is_over),
    cmocka_unit_test(test_stragglers_change_nothing),
    cmocka_unit_test(test_success_closes),
    cmocka_unit_test(test_failure_doubles_the_pause_up_to_its_limit),
    cmocka_unit_test(test_a_probe_that_says_nothing_makes_room),
    cmocka_unit_test(test_a_lost_probe_makes_room),
    cmocka_unit_test(test_a_late_report_of_a_lost_probe),
};

UNIT_MAIN(tests)
