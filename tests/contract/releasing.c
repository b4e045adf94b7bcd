/* A released delivery is as if it had never been handed out. */
#include "contract/cases.h"

static void to_another_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct hand *first = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 10, 0);
    hand_take(first, 10, SOON_MS);
    struct hand *second = hand_open(fixture);
    hand_expect_none(second, QUIET_MS);
    first->receiver->ops->stop(first->receiver);
    hand_settle_all(first, &RELEASE);
    hand_take(second, 10, SOON_MS);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(second->held[i].delivery->message->attempt, 1);
        assert_string_equal(second->held[i].delivery->message->error, "");
    }
    hand_ack_all(second);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static void attempt_and_error_stay(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 1, 0);
    hand_take(hand, 1, SOON_MS);
    hand_give(hand, 0, retry_at(now_ms(), 4, "third failure"));
    hand_flush(hand);
    hand_take(hand, 1, SOON_MS);
    for (int i = 0; i < 3; i++) {
        hand_give(hand, 0, RELEASE);
        hand_flush(hand);
        hand_take(hand, 1, SOON_MS);
        assert_int_equal(hand->held[0].delivery->message->attempt, 4);
        assert_string_equal(hand->held[0].delivery->message->error, "third failure");
    }
    hand_ack_all(hand);
}

/* What was handed out to be landed and given back comes again by its due time, with that due time. */
static void early_ones_before_due(void **state)
{
    struct fixture *fixture = *state;
    struct hand *first = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 20, 1200);
    hand_take(first, 20, 2 * SOON_MS);
    int64_t due_ms = first->held[0].delivery->message->due_ms;
    struct hand *second = hand_open(fixture);
    first->receiver->ops->stop(first->receiver);
    hand_settle_all(first, &RELEASE);
    hand_take(second, 20, 2 * SOON_MS);
    for (size_t i = 0; i < 20; i++) {
        const struct held *held = &second->held[i];
        assert_between(held->delivery->message->due_ms, due_ms, due_ms + 1000);
        assert_int_equal(held->delivery->message->attempt, 1);
        assert_between(held->handed_ms - held->delivery->message->due_ms, -second->landing_ms - 1, LATE_MS);
    }
    hand_ack_all(second);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static const struct CMUnitTest cases[] = {
    CASE("releasing/to-another-at-once", to_another_at_once),
    CASE("releasing/attempt-and-error-stay", attempt_and_error_stay),
    CASE("releasing/early-ones", early_ones_before_due),
};
CASE_GROUP(releasing_cases, cases);
