/* The decimal ladder: arithmetic only, so that 400 days take no time. */
#include <string.h>

#include "broker/broker.h"
#include "broker/rabbitmq/ladder.h"
#include "support/test.h"

static const int64_t second_ms = 1000, day_ms = INT64_C(86400) * 1000;
static const int64_t longest_pass_ms = INT64_C(10000000000); /* from here on it takes more than one */

/* Walks down from the first rung: nominal time, and what the trims take off. */
static int64_t walk(const struct bide_rmq_climb *climb, int *ret_hops)
{
    int64_t held = 0;
    int hops = 0;
    for (int rung = climb->first; rung >= 0; rung--)
        if (climb->digits[rung]) {
            held += bide_rmq_rung_ttl_ms(rung, climb->digits[rung]);
            hops++;
        }
    *ret_hops = hops;
    return held;
}

static void test_hops_and_keys(void **state)
{
    static const struct {
        int64_t delay_ms;
        int first, hops;
        const char *path;
    } rows[] = {
        {0, -1, 0, "0.0.0.0.0.0.0.0."},
        {99, -1, 0, "0.0.0.0.0.0.0.0."},
        {100, 0, 1, "0.0.0.0.0.0.0.1."},
        {101, 0, 1, "0.0.0.0.0.0.0.1."},
        {999, 0, 1, "0.0.0.0.0.0.0.9."},
        {1000, 1, 1, "0.0.0.0.0.0.1.0."},
        {5000, 1, 1, "0.0.0.0.0.0.5.0."},
        {9950, 1, 2, "0.0.0.0.0.0.9.9."},
        {10000, 2, 1, "0.0.0.0.0.1.0.0."},
        {999999, 3, 4, "0.0.0.0.9.9.9.9."},
        {3600 * 1000, 4, 2, "0.0.0.3.6.0.0.0."},
        {86400 * 1000, 5, 3, "0.0.8.6.4.0.0.0."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_rmq_climb climb;
        int hops;
        bide_rmq_climb_plan(rows[i].delay_ms, &climb);
        walk(&climb, &hops);
        assert_int_equal(climb.first, rows[i].first);
        assert_int_equal(hops, rows[i].hops);
        assert_string_equal(climb.path, rows[i].path);
    }
}

static void test_arrives_early_within_the_landing_window(void **state)
{
    (void)state;
    for (int64_t delay_ms = 0; delay_ms < 400 * day_ms; delay_ms += 1 + delay_ms / 97) {
        struct bide_rmq_climb climb;
        int hops;
        bide_rmq_climb_plan(delay_ms, &climb);
        int64_t held = walk(&climb, &hops);
        assert_true(held <= delay_ms);
        assert_int_equal(held, climb.held_ms - hops * BIDE_RMQ_TRIM_MS);
        if (delay_ms < longest_pass_ms)
            assert_true(delay_ms - held < BIDE_LANDING_MS);
    }
}

/* What no pass can hold is held again on arrival, until the rest fits. */
static void test_passes(void **state)
{
    static const struct {
        int64_t delay_ms;
        int passes;
    } rows[] = {
        {0, 1},
        {day_ms, 1},
        {longest_pass_ms - 100, 1},
        {longest_pass_ms, 2},
        {400 * day_ms, 4},
        {3650 * day_ms, 35},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t left = rows[i].delay_ms;
        int passes = 0, hops;
        do {
            struct bide_rmq_climb climb;
            bide_rmq_climb_plan(left, &climb);
            assert_true(climb.held_ms <= left);
            left -= walk(&climb, &hops); /* early by its trims: they are held again, or landed */
            passes++;
        } while (left >= BIDE_LANDING_MS);
        assert_int_equal(passes, rows[i].passes);
    }
}

static void test_names(void **state)
{
    char text[BIDE_RMQ_RUNG_TEXT];
    (void)state;
    assert_string_equal(bide_rmq_rung_text(0, 3, text), "300ms");
    assert_string_equal(bide_rmq_rung_text(1, 5, text), "5s");
    assert_string_equal(bide_rmq_rung_text(3, 6, text), "600s");
    assert_string_equal(bide_rmq_rung_text(7, 9, text), "9000000s");
    assert_int_equal(bide_rmq_rung_unit_ms(7), 1000000 * second_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hops_and_keys),
        cmocka_unit_test(test_arrives_early_within_the_landing_window),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
