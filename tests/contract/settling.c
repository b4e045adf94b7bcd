/* Acknowledging, follow-up messages, and what stays of a delivery: nothing. */
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"

static void ack_is_for_good(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 100, 0);
    hand_take(hand, 100, MANY_MS);
    hand_ack_all(hand);
    struct bide_receiver_stats stats;
    hand->receiver->ops->stats(hand->receiver, &stats);
    assert_int_equal(stats.settled, 100);
    hand_close(hand);
    hand = hand_open(fixture);
    hand_expect_none(hand, QUIET_MS);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static void many_in_one_call(void **state)
{
    struct fixture *fixture = *state;
    struct bide_settlement settlements[200];
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 200, 0);
    hand_take(hand, 200, MANY_MS);
    for (size_t i = 0; i < 200; i++) {
        settlements[i] = ACK;
        settlements[i].delivery = hand->held[i].delivery;
    }
    hand->n = 0;
    hand->receiver->ops->settle(hand->receiver, settlements, 200);
    hand_flush(hand);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static void mixed_verdicts_in_one_call(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 4, 0);
    hand_take(hand, 4, SOON_MS);
    struct bide_settlement settlements[] = {
        ACK, retry_at(now_ms() + 3600 * 1000, 2, "later"), dead_of(BIDE_REASON_REJECTED, 1, "no"), RELEASE};
    for (size_t i = 0; i < 4; i++)
        settlements[i].delivery = hand->held[i].delivery;
    size_t released = fixture_index(fixture, hand->held[3].delivery->message->id);
    hand->n = 0;
    hand->receiver->ops->settle(hand->receiver, settlements, 4);
    hand_flush(hand);
    hand_take(hand, 1, SOON_MS);
    assert_int_equal(fixture_index(fixture, hand->held[0].delivery->message->id), released);
    fixture_expect_counts(fixture, 0, 0, 1, 1, 1);
    hand_ack_all(hand);
}

static void in_random_order(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 5000 };
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, N, 0);
    hand_take(hand, N, 2 * MANY_MS);
    uint32_t random = 7;
    bide_error error;
    size_t n;
    for (size_t i = 0; hand->n > 0; i++) {
        random = random * 1664525u + 1013904223u;
        hand_give(hand, (random >> 8) % hand->n, ACK);
        if (i % 37 == 0)
            assert_ok(hand_receive(hand, &n, &error), &error);
    }
    hand_flush(hand);
    hand_expect_none(hand, QUIET_MS);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

/* A settlement is not left lying until something else happens. */
static void final_soon(void **state)
{
    struct fixture *fixture = *state;
    enum { ROUNDS = 9, ONE_US = 150 * 1000 };
    struct hand *hand = hand_open(fixture);
    int slow = 0; /* a busy machine holds up some of them */
    fixture_fill(fixture, 0, 0, ROUNDS, 0);
    hand_take(hand, ROUNDS, SOON_MS);
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t began_us = bide_mono_us(bide_clock_system());
        hand_give(hand, 0, ACK);
        hand_flush(hand);
        slow += bide_mono_us(bide_clock_system()) - began_us > ONE_US;
    }
    print_message("%d of %d settlements one by one took longer than %d us\n", slow, ROUNDS, ONE_US);
    assert_between(slow, 0, ROUNDS / 2);
}

/* An acknowledgement with n follow-up messages, ids first …, of which the last is delayed. */
static struct bide_settlement ack_and_send(struct fixture *fixture, size_t first, size_t n, int64_t delay_ms)
{
    struct bide_settlement settlement = ACK;
    bide_error error;
    settlement.sends = bide_calloc(n, sizeof(struct bide_message *));
    settlement.n_sends = n;
    for (size_t i = 0; i < n; i++) {
        settlement.sends[i] = fixture_message(fixture, first + i, i + 1 == n ? delay_ms : 0);
        assert_ok(
            bide_message_stamp(settlement.sends[i], fixture->queues[0], bide_clock_system(), &error), &error);
    }
    return settlement;
}

static void ack_with_follow_ups(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 1, 0);
    hand_take(hand, 1, SOON_MS);
    hand_give(hand, 0, ack_and_send(fixture, 10, 3, 800));
    hand_flush(hand);
    hand_take(hand, 3, 2 * SOON_MS);
    bool seen[3] = {false, false, false};
    for (size_t i = 0; i < 3; i++) {
        size_t index = fixture_index(fixture, hand->held[i].delivery->message->id) - 10;
        assert_true(index < 3);
        assert_false(seen[index]);
        seen[index] = true;
        assert_int_equal(hand->held[i].delivery->message->attempt, 1);
    }
    hand_ack_all(hand);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

static void follow_ups_of_many(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 300 };
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, N, 0);
    hand_take(hand, N, MANY_MS);
    for (size_t i = 0; i < N; i++)
        hand_give(hand, 0, ack_and_send(fixture, N + i, 1, 0));
    hand_flush(hand);
    hand_take(hand, N, MANY_MS);
    for (size_t i = 0; i < N; i++)
        assert_true(fixture_index(fixture, hand->held[i].delivery->message->id) >= N);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

/* What is sent with dead letters is there, and so are they; with others in one batch, and delayed. */
static void dead_with_sends(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 40 };
    struct listed listed;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, N, 0);
    hand_take(hand, N, MANY_MS);
    for (size_t i = 0; i < N; i++) {
        size_t n = i % 3, index = fixture_index(fixture, hand->held[0].delivery->message->id);
        struct bide_settlement settlement =
            n ? ack_and_send(fixture, N + 2 * index, n, i % 2 ? 800 : 0) : (struct bide_settlement){0};
        settlement.verdict = BIDE_VERDICT_DEAD;
        settlement.reason = BIDE_REASON_REJECTED;
        settlement.attempt = 1;
        settlement.error = bide_strdup("no");
        hand_give(hand, 0, settlement);
    }
    hand_flush(hand);
    hand_take(hand, N - 1, MANY_MS); /* 0 + 1 + 2 + 0 + 1 + … */
    for (size_t i = 0; i < N - 1; i++)
        assert_true(fixture_index(fixture, hand->held[i].delivery->message->id) >= N);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
    list_dead(fixture, (struct bide_dead_filter){.reason = BIDE_REASON_REJECTED}, &listed);
    assert_int_equal(listed.n, N);
    assert_int_equal(listed.first->attempt, 1);
    assert_string_equal(listed.first->error, "no");
    listed_clear(&listed);
    fixture_expect_counts(fixture, 0, 0, 0, 0, N);
}

static void stop_then_settle(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    hand->receiver->ops->limit(hand->receiver, 0, 5);
    fixture_fill(fixture, 0, 0, 12, 0);
    fixture_fill(fixture, 0, 12, 3, hand->landing_ms + 200);
    hand_take(hand, 5, SOON_MS);
    hand->receiver->ops->stop(hand->receiver);
    hand_serve_for(hand, 1000);
    assert_int_equal(hand->n, 5);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
    struct hand *other = hand_open(fixture);
    hand_take(other, 10, SOON_MS);
    hand_expect_none(other, QUIET_MS);
    hand_ack_all(other);
}

static void settle_then_destroy(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 50, 0);
    hand_take(hand, 50, SOON_MS);
    for (size_t i = 0; i < 50; i++)
        hand_give(hand, 0, i % 2 ? retry_at(now_ms(), 2, "again") : ACK);
    hand_close(hand); /* final or not: nothing is leaked, nothing is lost */
    hand = hand_open(fixture);
    hand_take(hand, 25, SOON_MS);
    hand_ack_all(hand);
}

static const struct CMUnitTest cases[] = {
    CASE("settling/ack-is-for-good", ack_is_for_good),
    CASE("settling/many-in-one-call", many_in_one_call),
    CASE("settling/mixed-verdicts", mixed_verdicts_in_one_call),
    CASE("settling/in-random-order", in_random_order),
    CASE("settling/final-soon", final_soon),
    CASE("settling/ack-with-follow-ups", ack_with_follow_ups),
    CASE("settling/follow-ups-of-many", follow_ups_of_many),
    CASE("settling/dead-with-sends", dead_with_sends),
    CASE("settling/stop-then-settle", stop_then_settle),
    CASE("settling/settle-then-destroy", settle_then_destroy),
};
CASE_GROUP(settling_cases, cases);
