/* console/retention.h: which dead letters are too old, by a clock that may jump. */
#include "console/retention.h"
#include "unit/unit.h"

enum { MINUTE_MS = 60 * 1000 };
static const int64_t day_ms = 24 * INT64_C(3600000), now_ms = INT64_C(1790000000000);

static void no_age_no_bound(void **state)
{
    struct bide_retention retention = {0};
    (void)state;
    assert_int_equal(bide_retention_died_before_ms(&retention, 0, now_ms, 5000), 0);
}

static void the_age_counts_back_from_now(void **state)
{
    struct bide_retention retention = {0};
    (void)state;
    for (int64_t ms = 0; ms < 10 * MINUTE_MS; ms += MINUTE_MS)
        assert_int_equal(
            bide_retention_died_before_ms(&retention, day_ms, now_ms + ms, 5000 + ms), now_ms + ms - day_ms);
    /* set right by a little, again and again */
    for (int64_t ms = 0; ms < 10 * MINUTE_MS; ms += MINUTE_MS)
        assert_true(bide_retention_died_before_ms(&retention, day_ms, now_ms + 2 * ms, 5000 + ms) > 0);
}

static void a_jump_keeps_all_for_a_day(void **state)
{
    static const int64_t jumps_ms[] = {6 * MINUTE_MS, -6 * MINUTE_MS, INT64_C(90000000000)};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(jumps_ms); i++) {
        struct bide_retention retention = {0};
        const int64_t wall_ms = now_ms + jumps_ms[i];
        assert_true(bide_retention_died_before_ms(&retention, day_ms, now_ms, 0) > 0);
        assert_int_equal(bide_retention_died_before_ms(&retention, day_ms, wall_ms, 1), 0);
        assert_int_equal(bide_retention_died_before_ms(&retention, day_ms, wall_ms + day_ms - 1, day_ms), 0);
        assert_int_equal(
            bide_retention_died_before_ms(&retention, day_ms, wall_ms + day_ms, day_ms + 1), wall_ms);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_age_no_bound),
    cmocka_unit_test(the_age_counts_back_from_now),
    cmocka_unit_test(a_jump_keeps_all_for_a_day),
};

UNIT_MAIN(tests)
