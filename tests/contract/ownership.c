/* What a receiver had in its hands when it went away, politely or not, is handed out to another. */
#include <string.h>

#include "contract/cases.h"

static void expect_attempts(const struct hand *hand, int attempt)
{
    for (size_t i = 0; i < hand->n; i++)
        assert_int_equal(hand->held[i].delivery->message->attempt, attempt);
}

static void destroyed_with_unsettled(void **state)
{
    struct fixture *fixture = *state;
    struct hand *first = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 50, 0);
    hand_take(first, 50, SOON_MS);
    struct hand *second = hand_open(fixture);
    hand_expect_none(second, QUIET_MS);
    hand_close(first);
    hand_take(second, 50, SOON_MS);
    expect_attempts(second, 1);
    hand_ack_all(second);
    hand_expect_none(second, QUIET_MS);
}

static void attempt_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct hand *first = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 5, 0);
    hand_take(first, 5, SOON_MS);
    while (first->n > 0)
        hand_give(first, 0, retry_at(now_ms() + 3600 * 1000, 3, "twice"));
    hand_flush(first);
    fixture_fill(fixture, 0, 5, 5, 0);
    hand_take(first, 5, SOON_MS);
    while (first->n > 0)
        hand_give(first, 0, retry_at(now_ms(), 3, "twice"));
    hand_flush(first);
    hand_take(first, 5, SOON_MS);
    hand_close(first);
    struct hand *second = hand_open(fixture);
    hand_take(second, 5, SOON_MS);
    expect_attempts(second, 3);
    assert_string_equal(second->held[0].delivery->message->error, "twice");
    hand_ack_all(second);
}

static void forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct hand *first = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 3, 0);
    hand_take(first, 3, SOON_MS);
    first->receiver->ops->forget(first->receiver, first->held[--first->n].delivery);
    hand_ack_all(first);
    hand_close(first);
    struct hand *second = hand_open(fixture);
    hand_take(second, 1, SOON_MS);
    hand_expect_none(second, QUIET_MS);
    hand_ack_all(second);
}

/* How soon another has what a killed process had, on a busy machine too; else a few ms, or (Redis) four
 * seconds. */
static int64_t take_over_ms(const struct fixture *fixture)
{
    static const struct {
        const char *adapter;
        int64_t ms;
    } promises[] = {{"sqlite", 5000}, {"rabbitmq", 5000}, {"redis", 15000}};
    for (size_t i = 0; i < sizeof promises / sizeof promises[0]; i++)
        if (strcmp(fixture->adapter->name, promises[i].adapter) == 0)
            return promises[i].ms;
    fail_msg("no promise known for %s", fixture->adapter->name);
    return 0;
}

static void killed(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 40 };
    fixture_fill(fixture, 0, 0, N, 0);
    struct child *child = fixture_spawn(fixture, "hold", N);
    child_expect(child, "holding", MANY_MS);
    struct hand *hand = hand_open(fixture);
    hand_expect_none(hand, QUIET_MS);
    int64_t killed_us = bide_mono_us(bide_clock_system());
    child_kill(child);
    hand_take(hand, N, take_over_ms(fixture));
    print_message(
        "taken over after %lld ms\n", (long long)((bide_mono_us(bide_clock_system()) - killed_us) / 1000));
    expect_attempts(hand, 1);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static void killed_before_anyone_else_is_there(void **state)
{
    struct fixture *fixture = *state;
    fixture_fill(fixture, 0, 0, 10, 0);
    struct child *child = fixture_spawn(fixture, "hold", 10);
    child_expect(child, "holding", MANY_MS);
    child_kill(child);
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 10, take_over_ms(fixture) + SOON_MS); /* opening counts here */
    hand_ack_all(hand);
}

static void killed_with_early_ones(void **state)
{
    struct fixture *fixture = *state;
    fixture_fill(fixture, 0, 0, 10, 1500);
    struct child *child = fixture_spawn(fixture, "hold", 10);
    child_expect(child, "holding", MANY_MS); /* within the landing window or just after due */
    struct hand *hand = hand_open(fixture);
    child_kill(child);
    hand_take(hand, 10, take_over_ms(fixture) + hand->landing_ms);
    expect_attempts(hand, 1);
    hand_ack_all(hand);
}

/* Slow is not dead: nothing is taken from a living receiver that settles nothing. */
static void slow_is_not_dead(void **state)
{
    struct fixture *fixture = *state;
    struct hand *slow = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 5, 0);
    hand_take(slow, 5, SOON_MS);
    struct hand *other = hand_open(fixture);
    bool by_heartbeats = strcmp(fixture->adapter->name, "redis") == 0; /* which count for three seconds */
    struct deadline deadline = deadline_in_ms(by_heartbeats ? 3500 : 1200);
    bide_error error;
    while (!deadline_passed(&deadline)) {
        struct deadline slice = deadline_in_ms(50);
        assert_ok(hand_serve(slow, &slice, &error), &error);
        slice = deadline_in_ms(50);
        assert_ok(hand_serve(other, &slice, &error), &error);
        assert_int_equal(other->n, 0);
    }
    hand_ack_all(slow);
    hand_expect_none(other, QUIET_MS);
}

static const struct CMUnitTest cases[] = {
    CASE("ownership/destroyed-with-unsettled", destroyed_with_unsettled),
    CASE("ownership/attempt-is-kept", attempt_is_kept),
    CASE("ownership/forgotten", forgotten),
    CASE_OF_SERVERS("ownership/killed", killed),
    CASE_OF_SERVERS("ownership/killed-before-anyone-else", killed_before_anyone_else_is_there),
    CASE_OF_SERVERS("ownership/killed-with-early-ones", killed_with_early_ones),
    CASE("ownership/slow-is-not-dead", slow_is_not_dead),
};
CASE_GROUP(ownership_cases, cases);
