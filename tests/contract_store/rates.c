#include <stdlib.h>
#include <unistd.h>

#include "contract_store/cases.h"

/* METER. */

enum { SECOND_US = 1000 * 1000, HALF_HOUR_US = 1800 * SECOND_US, SLACK_US = 5 * SECOND_US };
#define DAY_US (48 * (int64_t)HALF_HOUR_US)

static void permits_follow_each_other(void **state)
{
    struct fixture *fixture = *state;
    const struct bide_store_answer *answer = apply(fixture->store, meter("k", 1, 60 * SECOND_US, DAY_US));
    assert_true(answer->ok);
    assert_int_equal(answer->wait_us, 0);
    assert_int_equal(answer->count, 1);
    answer = apply(fixture_other(fixture), meter("k", 3, 60 * SECOND_US, DAY_US));
    assert_false(answer->ok);
    assert_int_equal(answer->count, 3);
    assert_between(answer->wait_us, 60 * SECOND_US - SLACK_US, 60 * SECOND_US);
    answer = apply(fixture->store, meter("k", 1, 60 * SECOND_US, DAY_US));
    assert_between(answer->wait_us, 240 * SECOND_US - SLACK_US, 240 * SECOND_US);
}

static void reserves_within_a_time_only(void **state)
{
    struct fixture *fixture = *state;
    /* begin at 0, 60, 120 s */
    const struct bide_store_answer *answer =
        apply(fixture->store, meter("k", 100, 60 * SECOND_US, 150 * SECOND_US));
    assert_int_equal(answer->count, 3);
    answer = apply(fixture->store, meter("k", 100, 60 * SECOND_US, 90 * SECOND_US));
    assert_int_equal(answer->count, 0);
    assert_between(answer->wait_us, 180 * SECOND_US - SLACK_US, 180 * SECOND_US);
}

static void looking_reserves_nothing(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        const struct bide_store_answer *answer = apply(fixture->store, meter("k", 0, SECOND_US, DAY_US));
        assert_true(answer->ok);
        assert_int_equal(answer->count, 0);
    }
}

static void keys_are_apart_and_can_be_freed(void **state)
{
    struct fixture *fixture = *state;
    assert_true(apply(fixture->store, meter("a", 1, HALF_HOUR_US, 0))->ok);
    assert_true(apply(fixture->store, meter("b", 1, HALF_HOUR_US, 0))->ok);
    const struct bide_store_answer *answer = apply(fixture->store, meter("a", 1, HALF_HOUR_US, 0));
    assert_int_equal(answer->count, 0);
    answer = apply(fixture->store, get("a"));
    assert_int_equal(answer->state, 1);
    assert_between(answer->lasts_ms, HALF_HOUR_US / 1000 - SLACK_US / 1000, HALF_HOUR_US / 1000 + 1);
    apply(fixture->store, turn("a", BIDE_STORE_ANY, 0, ""));
    assert_true(apply(fixture->store, meter("a", 1, HALF_HOUR_US, 0))->ok);
}

static void after_lapse_it_is_free(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture->store, meter("k", 1, BRIEF_MS * 1000, 0));
    wait_until_lapsed(fixture->store, "scope", "k");
    assert_true(apply(fixture->store, meter("k", 1, BRIEF_MS * 1000, 0))->ok);
}

enum { WRITERS = 4, EACH = 25, INTERVAL_US = 2000 };

/* Tells when each of its permits begins: not before the answer's wait from the moment before it asked. */
static bide_code take_permits(struct bide_store *store, int number, int out, bide_error *error)
{
    (void)number;
    for (int i = 0; i < EACH; i++) {
        struct bide_store_operation operation = meter("k", 1, INTERVAL_US, DAY_US);
        struct bide_store_letter letter = {.operations = &operation, .n = 1};
        bide_code code = bide_store_apply(store, &letter, 1, error);
        int64_t begins_us = bide_wall_us(bide_clock_system()) + operation.answer.wait_us;
        if (code != BIDE_OK)
            return code;
        if (write(out, &begins_us, sizeof begins_us) != sizeof begins_us)
            return bide_fail(error, BIDE_E_INTERNAL, "write");
    }
    return BIDE_OK;
}

static int by_time(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* A permit that is used when its wait is over begins no earlier than it was reserved for, so n permits never
 * take less than n - 1 intervals, but for how much later the first one was told. */
static void never_more_than_the_rate(void **state)
{
    struct fixture *fixture = *state;
    int from[WRITERS];
    static int64_t begins_us[WRITERS * EACH];
    int64_t start_us = bide_wall_us(bide_clock_system());
    for (int i = 0; i < WRITERS; i++)
        from[i] = fixture_fork(fixture, i, take_permits);
    for (int i = 0; i < WRITERS; i++) {
        for (int j = 0; j < EACH; j++)
            assert_int_equal(
                read(from[i], &begins_us[i * EACH + j], sizeof begins_us[0]), sizeof begins_us[0]);
        close(from[i]);
        fixture_wait(fixture, i);
    }
    qsort(begins_us, WRITERS * EACH, sizeof begins_us[0], by_time);
    for (int i = 0; i < WRITERS * EACH; i++)
        assert_true(begins_us[i] >= start_us + (int64_t)i * INTERVAL_US - 1);
}

/* With the wait it says when a permit begins, by the store's clock: that of this host, here. */
static void it_says_when_it_was_asked(void **state)
{
    struct fixture *fixture = *state;
    const int64_t hosts_differ_us = 5 * SECOND_US;
    int64_t before_us = bide_wall_us(bide_clock_system());
    const struct bide_store_answer *answer = apply(fixture->store, meter("k", 0, SECOND_US, 0));
    int64_t at_us = answer->at_us;
    assert_true(
        at_us >= before_us - hosts_differ_us && at_us <= bide_wall_us(bide_clock_system()) + hosts_differ_us);
    apply(fixture->store, meter("k", 1, HALF_HOUR_US, 0));
    answer = apply(fixture->store, meter("k", 1, HALF_HOUR_US, DAY_US));
    int64_t permit_us = answer->at_us + answer->wait_us;
    answer = apply(fixture->store, meter("k", 0, HALF_HOUR_US, 0));
    assert_int_equal(answer->at_us + answer->wait_us, permit_us + HALF_HOUR_US);
}

static const struct CMUnitTest cases[] = {
    CASE("meter/permits-follow-each-other", permits_follow_each_other),
    CASE("meter/reserves-within-a-time-only", reserves_within_a_time_only),
    CASE("meter/looking-reserves-nothing", looking_reserves_nothing),
    CASE("meter/keys-are-apart-and-can-be-freed", keys_are_apart_and_can_be_freed),
    CASE("meter/after-lapse-it-is-free", after_lapse_it_is_free),
    CASE("meter/never-more-than-the-rate", never_more_than_the_rate),
    CASE("meter/it-says-when-it-was-asked", it_says_when_it_was_asked),
};
CASE_GROUP(rate_cases, cases);
