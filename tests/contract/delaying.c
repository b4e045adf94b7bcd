/* Delayed messages: never more than the landing window early, and there by their due time. */
#include <stdlib.h>

#include "base/alloc.h"
#include "contract/cases.h"

/* Everything held was handed out neither too early nor too late; returns the latest, in ms after due. */
static int64_t expect_on_time(const struct hand *hand)
{
    int64_t latest_ms = -hand->landing_ms;
    for (size_t i = 0; i < hand->n; i++) {
        int64_t late_ms = hand->held[i].handed_ms - hand->held[i].delivery->message->due_ms;
        assert_between(late_ms, -hand->landing_ms - 1, LATE_MS);
        if (late_ms > latest_ms)
            latest_ms = late_ms;
    }
    return latest_ms;
}

static void not_before_the_window(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 1, hand->landing_ms + 1500);
    hand_expect_none(hand, 400);
    hand_take(hand, 1, SOON_MS);
    expect_on_time(hand);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

static void short_after_long(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    char id[FIXTURE_ID];
    fixture_fill(fixture, 0, 0, 1, 3600 * 1000);
    fixture_fill(fixture, 0, 1, 1, 30 * 1000);
    fixture_fill(fixture, 0, 2, 1, 900);
    hand_take(hand, 1, SOON_MS);
    assert_string_equal(hand->held[0].delivery->message->id, fixture_id(fixture, 2, id));
    expect_on_time(hand);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

static void in_order_of_due(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    bide_error error;
    int64_t apart_ms = hand->landing_ms + 200, first_ms = now_ms() + 1200;
    for (int i = 0; i < 3; i++) {
        struct bide_message *message = fixture_message(fixture, (size_t)i, 0);
        assert_ok(bide_message_set_due_ms(message, first_ms + (2 - i) * apart_ms, &error), &error);
        fixture_send(fixture, message);
    }
    hand_take(hand, 3, SOON_MS);
    expect_on_time(hand);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fixture_index(fixture, hand->held[i].delivery->message->id), 2 - i);
    hand_ack_all(hand);
}

static void due_in_the_past(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    bide_error error;
    struct bide_message *message = fixture_message(fixture, 1, 0);
    assert_ok(bide_message_set_due_ms(message, now_ms() - 3600 * 1000, &error), &error);
    fixture_send(fixture, message);
    hand_take(hand, 1, SOON_MS);
    assert_true(hand->held[0].delivery->message->due_ms <= now_ms());
    hand_ack_all(hand);
}

static void due_while_nobody_receives(void **state)
{
    struct fixture *fixture = *state;
    fixture_fill(fixture, 0, 0, 20, 200);
    struct deadline deadline = deadline_in_ms(400);
    while (!deadline_passed(&deadline))
        deadline_nap(&deadline);
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 20, SOON_MS);
    hand_ack_all(hand);
}

static void around_a_tenth_and_a_second(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t delays_ms[] = {1, 50, 99, 100, 101, 499, 500, 501, 999, 1000, 1001, 1999};
    struct hand *hand = hand_open(fixture);
    size_t n = sizeof delays_ms / sizeof delays_ms[0];
    for (size_t i = 0; i < n; i++)
        fixture_fill(fixture, 0, i, 1, delays_ms[i]);
    hand_take(hand, n, SOON_MS);
    expect_on_time(hand);
    hand_ack_all(hand);
}

static int by_lateness(const void *a, const void *b)
{
    const struct held *left = a, *right = b;
    int64_t left_ms = left->handed_ms - left->delivery->message->due_ms;
    int64_t right_ms = right->handed_ms - right->delivery->message->due_ms;
    return (left_ms > right_ms) - (left_ms < right_ms);
}

static void many_random(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 1000, LONGEST_MS = 2200, MEDIAN_LATE_MS = 250 /* who looks once a second is later */ };
    struct bide_message *messages[N];
    struct hand *hand = hand_open(fixture);
    uint32_t random = fixture->serial;
    for (size_t i = 0; i < N; i++) {
        random = random * 1664525u + 1013904223u;
        messages[i] = fixture_message(fixture, i, (random >> 8) % LONGEST_MS);
    }
    fixture_send_many(fixture, messages, N);
    hand_take(hand, N, MANY_MS);
    expect_on_time(hand);
    qsort(hand->held, N, sizeof hand->held[0], by_lateness);
    int64_t median_ms = hand->held[N / 2].handed_ms - hand->held[N / 2].delivery->message->due_ms;
    assert_between(median_ms, -hand->landing_ms, MEDIAN_LATE_MS);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

static void a_new_earliest_wakes(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 1, 60 * 1000);
    hand_serve_for(hand, QUIET_MS);
    struct child *child = fixture_spawn(fixture, "delayed", 700);
    child_expect(child, "sent", MANY_MS);
    hand_take(hand, 1, SOON_MS);
    expect_on_time(hand);
    hand_ack_all(hand);
}

static void delayed_and_ready_side_by_side(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 500, 60 * 1000);
    fixture_fill(fixture, 0, 500, 500, 0);
    hand_take(hand, 500, MANY_MS);
    for (size_t i = 0; i < hand->n; i++)
        assert_true(fixture_index(fixture, hand->held[i].delivery->message->id) >= 500);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

static void the_longest_delay(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    int64_t before = fixture_delayed_total(fixture);
    fixture_fill(fixture, 0, 0, 1, BIDE_DELAY_MAX_MS);
    hand_expect_none(hand, QUIET_MS);
    assert_int_equal(fixture_delayed_total(fixture), before + 1);
}

static const struct CMUnitTest cases[] = {
    CASE("delaying/not-before-the-window", not_before_the_window),
    CASE("delaying/short-after-long", short_after_long),
    CASE("delaying/in-order-of-due", in_order_of_due),
    CASE("delaying/due-in-the-past", due_in_the_past),
    CASE("delaying/due-while-nobody-receives", due_while_nobody_receives),
    CASE("delaying/around-a-tenth-and-a-second", around_a_tenth_and_a_second),
    CASE("delaying/many-random", many_random),
    CASE_OF_SERVERS("delaying/a-new-earliest-wakes", a_new_earliest_wakes),
    CASE("delaying/beside-ready-ones", delayed_and_ready_side_by_side),
    CASE("delaying/the-longest", the_longest_delay),
};
CASE_GROUP(delaying_cases, cases);
