/* outcome/: the backoff shapes and decide(), on made-up clocks. */
#include "bide/message.h"
#include "outcome/backoff.h"
#include "outcome/decide.h"
#include "support/test.h"

static struct bide_retry_config policy(enum bide_backoff backoff)
{
    return (struct bide_retry_config){
        .attempts = 5, .crash_attempts = 3, .backoff = backoff, .base_ms = 1000, .cap_ms = 600000};
}

static void test_shapes(void **state)
{
    (void)state;
    static const struct {
        enum bide_backoff backoff;
        int64_t ms[6];
    } rows[] = {
        {BIDE_BACKOFF_FIXED, {1000, 1000, 1000, 1000, 1000, 1000}},
        {BIDE_BACKOFF_LINEAR, {1000, 2000, 3000, 4000, 5000, 6000}},
        {BIDE_BACKOFF_EXPONENTIAL, {1000, 2000, 4000, 8000, 16000, 32000}},
        {BIDE_BACKOFF_FIBONACCI, {1000, 1000, 2000, 3000, 5000, 8000}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_retry_config config = policy(rows[i].backoff);
        for (int n = 1; n <= 6; n++)
            assert_int_equal(bide_backoff_ms(&config, n, 0.5), rows[i].ms[n - 1]);
    }
}

static void test_total(void **state)
{
    (void)state;
    struct bide_retry_config config = policy(BIDE_BACKOFF_EXPONENTIAL);
    assert_int_equal(bide_backoff_total_ms(&config), 1000 + 2000 + 4000 + 8000);
    config.attempts = 1;
    assert_int_equal(bide_backoff_total_ms(&config), 0);
    config = (struct bide_retry_config){.attempts = 100000,
        .backoff = BIDE_BACKOFF_FIXED,
        .base_ms = BIDE_DELAY_MAX_MS,
        .cap_ms = BIDE_DELAY_MAX_MS};
    assert_int_equal(bide_backoff_total_ms(&config), BIDE_DELAY_MAX_MS);
}

static void test_list_stays_at_its_last(void **state)
{
    (void)state;
    int64_t list[] = {1000, 5000, 30000};
    struct bide_retry_config config = policy(BIDE_BACKOFF_LIST);
    config.list_ms = list;
    config.n_list = 3;
    assert_int_equal(bide_backoff_ms(&config, 1, 0.5), 1000);
    assert_int_equal(bide_backoff_ms(&config, 3, 0.5), 30000);
    assert_int_equal(bide_backoff_ms(&config, 99, 0.5), 30000);
}

static void test_cap_and_huge_counts(void **state)
{
    (void)state;
    struct bide_retry_config config = policy(BIDE_BACKOFF_EXPONENTIAL);
    assert_int_equal(bide_backoff_ms(&config, 2000000000, 0.5), 600000);
    config.backoff = BIDE_BACKOFF_FIBONACCI;
    assert_int_equal(bide_backoff_ms(&config, 2000000000, 0.5), 600000);
    config.cap_ms = INT64_MAX;
    config.jitter = 1.0;
    assert_int_equal(bide_backoff_ms(&config, 2000000000, 0.999), BIDE_DELAY_MAX_MS);
}

static void test_jitter_stays_in_its_band(void **state)
{
    (void)state;
    struct bide_retry_config config = policy(BIDE_BACKOFF_FIXED);
    config.jitter = 0.2;
    assert_int_equal(bide_backoff_ms(&config, 1, 0.0), 800);
    assert_int_equal(bide_backoff_ms(&config, 1, 0.5), 1000);
    assert_between(bide_backoff_ms(&config, 1, 0.999999), 1199, 1200);
}

static void test_decisions(void **state)
{
    (void)state;
    struct bide_retry_config config = policy(BIDE_BACKOFF_EXPONENTIAL);
    static const struct {
        struct bide_run_result run;
        struct bide_decision wanted;
    } rows[] = {
        {{BIDE_DONE, BIDE_BY_POLICY, false, 5, 0, 0, 0, false}, {BIDE_VERDICT_ACK, BIDE_REASON_NONE, 5, 0}},
        {{BIDE_DONE, BIDE_BY_POLICY, true, 1, 0, 0, 0, false}, {BIDE_VERDICT_ACK, BIDE_REASON_NONE, 1, 0}},
        {{BIDE_DEAD, BIDE_BY_POLICY, false, 1, 0, 0, 0, false},
            {BIDE_VERDICT_DEAD, BIDE_REASON_REJECTED, 1, 0}},
        {{BIDE_RETRY, BIDE_BY_POLICY, false, 1, 0, 0, 0, false},
            {BIDE_VERDICT_RETRY, BIDE_REASON_NONE, 2, 1001000}},
        {{BIDE_RETRY, BIDE_BY_POLICY, false, 4, 0, 0, 0, false},
            {BIDE_VERDICT_RETRY, BIDE_REASON_NONE, 5, 1008000}},
        {{BIDE_RETRY, 77, false, 2, 0, 0, 0, false}, {BIDE_VERDICT_RETRY, BIDE_REASON_NONE, 3, 1000077}},
        {{BIDE_RETRY, 0, true, 2, 0, 0, 0, false}, {BIDE_VERDICT_RETRY, BIDE_REASON_NONE, 3, 1000000}},
        {{BIDE_RETRY, 77, false, 5, 0, 0, 0, false}, {BIDE_VERDICT_DEAD, BIDE_REASON_EXHAUSTED, 5, 0}},
        {{BIDE_RETRY, BIDE_BY_POLICY, true, 5, 0, 0, 0, false},
            {BIDE_VERDICT_DEAD, BIDE_REASON_TIMEOUT, 5, 0}},
        {{BIDE_RETRY, BIDE_BY_POLICY, false, 1, 1, 0, 0, false},
            {BIDE_VERDICT_RETRY, BIDE_REASON_NONE, 2, 1001000}},
        {{BIDE_RETRY, BIDE_BY_POLICY, false, 3, 3, 0, 0, false},
            {BIDE_VERDICT_DEAD, BIDE_REASON_CRASHED, 3, 0}},
        {{BIDE_RETRY, BIDE_BY_POLICY, false, 5, 0, 3000, 0, false},
            {BIDE_VERDICT_RETRY, BIDE_REASON_NONE, 5, 1016000}},
        {{BIDE_RETRY, 77, true, 5, 0, 3000, 0, false}, {BIDE_VERDICT_RETRY, BIDE_REASON_NONE, 5, 1003000}},
        {{BIDE_DEAD, BIDE_BY_POLICY, false, 5, 0, 3000, 0, false},
            {BIDE_VERDICT_DEAD, BIDE_REASON_REJECTED, 5, 0}},
        {{BIDE_RETRY, BIDE_BY_POLICY, false, 5, 1, 0, 0, false},
            {BIDE_VERDICT_DEAD, BIDE_REASON_CRASHED, 5, 0}},
        {{BIDE_RETRY, INT64_MAX, false, 1, 0, 0, 0, false},
            {BIDE_VERDICT_RETRY, BIDE_REASON_NONE, 2, 1000000 + BIDE_DELAY_MAX_MS}},
        {{BIDE_RETRY, BIDE_BY_POLICY, false, 5, 0, 3000, 0, true},
            {BIDE_VERDICT_RELEASE, BIDE_REASON_NONE, 5, 0}},
        {{BIDE_RETRY, 60000, false, 5, 0, 0, 15, false}, {BIDE_VERDICT_RETRY, BIDE_REASON_NONE, 6, 1060000}},
        {{BIDE_RETRY, 60000, false, 15, 0, 0, 15, false}, {BIDE_VERDICT_DEAD, BIDE_REASON_UNRESOLVED, 15, 0}},
        {{BIDE_RETRY, 60000, true, 2, 0, 0, 2, false}, {BIDE_VERDICT_DEAD, BIDE_REASON_UNRESOLVED, 2, 0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_decision got = bide_decide(&config, &rows[i].run, 1000000, 0.5);
        assert_int_equal(got.verdict, rows[i].wanted.verdict);
        assert_int_equal(got.reason, rows[i].wanted.reason);
        assert_int_equal(got.attempt, rows[i].wanted.attempt);
        assert_int_equal(got.due_ms, rows[i].wanted.due_ms);
    }
}

/* A message that always fails: thirty days of retries in no time, each at the instant the policy says. */
static void test_a_month_of_retries(void **state)
{
    (void)state;
    struct bide_retry_config config = policy(BIDE_BACKOFF_EXPONENTIAL);
    config.attempts = 40;
    config.cap_ms = INT64_C(86400000);
    int64_t now_ms = 1000000, began_ms = now_ms;
    int attempt = 1;
    for (;;) {
        const struct bide_run_result run = {
            .outcome = BIDE_RETRY, .delay_ms = BIDE_BY_POLICY, .attempt = attempt};
        struct bide_decision decision = bide_decide(&config, &run, now_ms, 0.5);
        if (decision.verdict == BIDE_VERDICT_DEAD)
            break;
        assert_true(decision.due_ms > now_ms);
        assert_int_equal(decision.attempt, attempt + 1);
        now_ms = decision.due_ms;
        attempt = decision.attempt;
    }
    assert_int_equal(attempt, 40);
    /* 1 + 2 + … + 65536 s, then 22 times the cap of a day */
    assert_int_equal(now_ms - began_ms, INT64_C(131071000) + 22 * INT64_C(86400000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_total),
        cmocka_unit_test(test_list_stays_at_its_last),
        cmocka_unit_test(test_cap_and_huge_counts),
        cmocka_unit_test(test_jitter_stays_in_its_band),
        cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_a_month_of_retries),
    };
    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
