/* What a Redis worker knows of a queue: no wake is forgotten, whatever comes in whichever order. */
#include "unit.h"

#include "broker/redis/claiming.h"

static bool may_end_as(enum bide_redis_claiming state)
{
    return state <= BIDE_REDIS_FLOWING;
}

/* A claim will be made as soon as there is room, or without. */
static bool will_claim(enum bide_redis_claiming state)
{
    return state >= BIDE_REDIS_WANTING && state <= BIDE_REDIS_PASSING_ON;
}

static void no_wake_is_forgotten(void **state)
{
    (void)state;
    for (enum bide_redis_claiming before = 0; before < BIDE_REDIS_N_CLAIMINGS; before++)
        for (enum bide_redis_claim_event wake = BIDE_REDIS_WOKEN; wake <= BIDE_REDIS_WOKEN_FULL; wake++) {
            enum bide_redis_claiming after = bide_redis_claiming_after(before, wake);
            assert_true(will_claim(after) || after == BIDE_REDIS_CLAIMING_WOKEN);
            if (wake == BIDE_REDIS_WOKEN_FULL && !bide_redis_claiming_is_asked(before))
                assert_int_equal(after, BIDE_REDIS_PASSING_ON);
            assert_int_equal(bide_redis_claiming_is_asked(after), bide_redis_claiming_is_asked(before));
        }
}

static void a_wake_during_a_claim_counts_at_its_end(void **state)
{
    (void)state;
    for (enum bide_redis_claiming next = 0; may_end_as(next); next++) {
        assert_true(will_claim(bide_redis_claiming_ended(BIDE_REDIS_CLAIMING_WOKEN, next, false)));
        assert_int_equal(
            bide_redis_claiming_ended(BIDE_REDIS_CLAIMING_WOKEN, next, true), BIDE_REDIS_PASSING_ON);
        assert_int_equal(bide_redis_claiming_ended(BIDE_REDIS_CLAIMING, next, true), next);
    }
}

static void what_has_landed_makes_room_for_early_ones(void **state)
{
    (void)state;
    for (enum bide_redis_claiming before = 0; before < BIDE_REDIS_N_CLAIMINGS; before++)
        assert_int_equal(bide_redis_claiming_after(before, BIDE_REDIS_EARLY_ROOM),
            before == BIDE_REDIS_CROWDED ? BIDE_REDIS_WANTING : before);
}

static void a_claim_answers_the_wakes_before_it(void **state)
{
    (void)state;
    for (enum bide_redis_claiming before = 0; before < BIDE_REDIS_CLAIMING; before++)
        assert_int_equal(bide_redis_claiming_after(before, BIDE_REDIS_ASKED), BIDE_REDIS_CLAIMING);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_wake_is_forgotten),
    cmocka_unit_test(a_wake_during_a_claim_counts_at_its_end),
    cmocka_unit_test(what_has_landed_makes_room_for_early_ones),
    cmocka_unit_test(a_claim_answers_the_wakes_before_it),
};

UNIT_MAIN(tests)
