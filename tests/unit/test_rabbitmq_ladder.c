/* The ladder and the old one: arithmetic only, so that 400 days take no time. */
#include <string.h>

#include "broker/broker.h"
#include "broker/rabbitmq/ladder.h"
#include "broker/rabbitmq/old_ladder.h"
#include "support/test.h"

static const int64_t second_ms = 1000, minute_ms = 60 * 1000, day_ms = INT64_C(86400) * 1000;
static const int64_t longest_pass_ms = INT64_C(6000000000); /* from here on it takes more than one */

/* Walks down from the first rung: returns how long the queues hold it. */
static int64_t walk(const struct bide_rmq_climb *climb, int *ret_hops)
{
    int64_t held = 0;
    int hops = 0;
    for (int rung = climb->first; rung < BIDE_RMQ_RUNGS; rung++)
        if (climb->numbers[rung]) {
            assert_true(climb->numbers[rung] <= bide_rmq_rung_numbers(rung));
            held += bide_rmq_rung_ttl_ms(rung, climb->numbers[rung]);
            hops++;
        }
    *ret_hops = hops;
    return held;
}

static void test_hops_and_keys(void **state)
{
    static const struct {
        int64_t delay_ms;
        bool large;
        int first, hops;
        const char *path;
    } rows[] = {
        {0, false, 7, 0, "1.0.0.0.0.0.0.0."},
        {999, false, 7, 0, "1.0.0.0.0.0.0.0."},
        {1819, false, 7, 0, "1.0.0.0.0.0.0.0."},
        {1820, false, 6, 1, "1.0.0.0.0.0.0.1."},
        {5000, false, 6, 1, "1.0.0.0.0.0.0.4."},
        {5370, false, 6, 1, "1.0.0.0.0.0.0.5."},
        {5369, false, 6, 1, "1.0.0.0.0.0.0.4."},
        {9969, false, 6, 1, "1.0.0.0.0.0.0.9."},
        {59969, false, 6, 1, "1.0.0.0.0.0.0.59."},
        {59 * 1000, false, 6, 1, "1.0.0.0.0.0.0.58."},
        {60 * 1000, false, 5, 1, "1.0.0.0.0.0.1.0."},
        {600 * 1000 - 30, false, 4, 1, "1.0.0.0.0.1.0.0."},
        {300 * 1000, false, 5, 1, "1.0.0.0.0.0.5.0."},
        {599 * 1000, false, 5, 2, "1.0.0.0.0.0.9.58."},
        {61 * 1000 + 369, false, 5, 1, "1.0.0.0.0.0.1.0."},
        {61 * 1000 + 370, false, 5, 2, "1.0.0.0.0.0.1.1."},
        {3600 * 1000, false, 4, 1, "1.0.0.0.0.6.0.0."},
        {86400 * 1000, false, 2, 3, "1.0.0.1.4.4.0.0."},
        {69, true, 7, 0, "1.0.0.0.0.0.0.0."},
        {70, true, 0, 1, "1.1.0.0.0.0.0.0."},
        {1269, true, 0, 2, "1.2.0.0.0.0.0.1."},
        {5000, true, 6, 1, "1.0.0.0.0.0.0.5."},
        {9969, true, 0, 2, "1.9.0.0.0.0.0.9."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_rmq_climb climb;
        int hops;
        bide_rmq_climb_plan(rows[i].delay_ms, rows[i].large, 1, &climb);
        walk(&climb, &hops);
        assert_int_equal(climb.first, rows[i].first);
        assert_int_equal(hops, rows[i].hops);
        assert_string_equal(climb.path, rows[i].path);
    }
}

/* Each ten-fold of the delay costs one hop more at most, and none below a minute. */
static void test_hops_by_length(void **state)
{
    static const struct {
        int64_t below_ms;
        int hops;
    } rows[] = {
        {BIDE_RMQ_EARLY_MS, 0},
        {minute_ms, 1},
        {10 * minute_ms, 2},
        {100 * minute_ms, 3},
        {1000 * minute_ms, 4},
        {10000 * minute_ms, 5},
        {100000 * minute_ms, 6},
    };
    int64_t delay_ms = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (; delay_ms < rows[i].below_ms; delay_ms += 1 + delay_ms / 97) {
            struct bide_rmq_climb climb;
            int hops;
            bide_rmq_climb_plan(delay_ms, false, 1, &climb);
            walk(&climb, &hops);
            assert_true(hops <= rows[i].hops);
        }
}

static void test_arrives_early_within_the_landing_window(void **state)
{
    enum { LARGE_EARLY_MS = 100 + BIDE_RMQ_RUNGS * BIDE_RMQ_TRIM_MS };
    (void)state;
    for (int large = 0; large <= 1; large++)
        for (int64_t delay_ms = 0; delay_ms < longest_pass_ms - BIDE_RMQ_SLACK_MS;
             delay_ms += 1 + delay_ms / 97) {
            struct bide_rmq_climb climb;
            int hops;
            bide_rmq_climb_plan(delay_ms, large, 1, &climb);
            int64_t held = walk(&climb, &hops);
            assert_true(held <= delay_ms && climb.held_ms <= delay_ms + BIDE_RMQ_SLACK_MS);
            assert_true(delay_ms - held < (large ? LARGE_EARLY_MS : BIDE_RMQ_EARLY_MS));
        }
    assert_true(BIDE_RMQ_EARLY_MS < BIDE_RMQ_LANDING_MS);
}

/* Each rung of the last millisecond of a second: nothing is rounded up. */
static void test_every_millisecond_of_two_minutes(void **state)
{
    (void)state;
    for (int64_t delay_ms = 0; delay_ms < 2 * minute_ms; delay_ms++) {
        struct bide_rmq_climb climb;
        int hops;
        bide_rmq_climb_plan(delay_ms, false, 1, &climb);
        int64_t left = delay_ms - walk(&climb, &hops);
        assert_true(left >= 0 && left < BIDE_RMQ_EARLY_MS);
        assert_true(hops == 0 || left >= BIDE_RMQ_TRIM_MS - BIDE_RMQ_SLACK_MS);
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
        {longest_pass_ms - BIDE_RMQ_SLACK_MS - 1, 1},
        {longest_pass_ms, 2},
        {400 * day_ms, 7},
        {3650 * day_ms, 59},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t left = rows[i].delay_ms;
        int passes = 0, hops;
        do {
            struct bide_rmq_climb climb;
            bide_rmq_climb_plan(left, false, 1, &climb);
            left -= walk(&climb, &hops); /* early by its trims: they are held again, or landed */
            passes++;
        } while (left >= BIDE_RMQ_LANDING_MS);
        assert_int_equal(passes, rows[i].passes);
    }
}

static void test_shards(void **state)
{
    struct bide_rmq_climb climb;
    (void)state;
    bide_rmq_climb_plan(59 * second_ms + 500, false, 8, &climb);
    assert_string_equal(climb.path, "8.0.0.0.0.0.0.59.");
    bide_rmq_climb_plan(longest_pass_ms - 31, true, 8, &climb);
    assert_string_equal(climb.path, "8.9.9.9.9.9.9.59.");
}

static void test_names(void **state)
{
    char text[BIDE_RMQ_RUNG_TEXT];
    (void)state;
    assert_string_equal(bide_rmq_rung_text(0, 3, text), "300ms");
    assert_string_equal(bide_rmq_rung_text(6, 5, text), "5s");
    assert_string_equal(bide_rmq_rung_text(5, 6, text), "6min");
    assert_string_equal(bide_rmq_rung_text(1, 9, text), "90000min");
    assert_int_equal(bide_rmq_rung_unit_ms(1), 10000 * minute_ms);
}

static void test_old_names(void **state)
{
    char name[BIDE_RMQ_OLD_NAME];
    (void)state;
    assert_string_equal(bide_rmq_old_queue("bide", 0, name), "bide.hold.100ms");
    assert_string_equal(bide_rmq_old_queue("bide", 13, name), "bide.hold.5s");
    assert_string_equal(bide_rmq_old_queue("bide", 71, name), "bide.hold.9000000s");
    assert_string_equal(bide_rmq_old_exchange("bide", 3, name), "bide.hold.100s");
    assert_int_equal(bide_rmq_old_ms(13), 5 * second_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hops_and_keys),
        cmocka_unit_test(test_hops_by_length),
        cmocka_unit_test(test_arrives_early_within_the_landing_window),
        cmocka_unit_test(test_every_millisecond_of_two_minutes),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_old_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
