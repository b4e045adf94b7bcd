/* wait() lets an idle worker sleep, and wakes it at once. */
#include <stdio.h>
#include <stdlib.h>

#include "contract/cases.h"

enum {
    WAITS_MAX = 20,
    IDLE_MS = 1000,
    WAKE_MAX_US = 300 * 1000 /* who looks once a second takes longer, on average */
};

/* An idle second: a handful of wake-ups (heartbeats), no loop. */
static void expect_sleep(struct hand *hand)
{
    hand_serve_for(hand, QUIET_MS); /* what opening left to do */
    uint64_t before = hand->waits;
    size_t held = hand->n;
    hand_serve_for(hand, IDLE_MS);
    assert_int_equal(hand->n, held);
    print_message("woke %d times in an idle second\n", (int)(hand->waits - before));
    assert_between((int64_t)(hand->waits - before), 1, WAITS_MAX);
}

static void sleeps_when_empty(void **state)
{
    expect_sleep(hand_open(*state));
}

static void sleeps_while_messages_are_delayed(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 100, 60 * 1000);
    expect_sleep(hand);
}

static void sleeps_at_its_limit(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    hand->receiver->ops->limit(hand->receiver, 0, 1);
    fixture_fill(fixture, 0, 0, 100, 0);
    hand_take(hand, 1, SOON_MS);
    expect_sleep(hand);
}

static void sleeps_when_shut_while_others_fall_due(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    fixture_fill(fixture, 0, 0, 100, 0);
    fixture_fill(fixture, 1, 100, 10, 100);
    hand_serve_for(hand, QUIET_MS); /* early ones may be handed out to be landed */
    expect_sleep(hand);
}

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* From just before another process sends until it is handed out here; half of the times count. */
static void wakes_for_another_process(void **state)
{
    struct fixture *fixture = *state;
    enum { ROUNDS = 9 };
    int64_t took_us[ROUNDS];
    struct hand *hand = hand_open(fixture);
    struct child *child = fixture_spawn(fixture, "send", 0);
    child_expect(child, "ready", MANY_MS);
    for (size_t i = 0; i < ROUNDS; i++) {
        hand_serve_for(hand, 20); /* asleep by now */
        child_tell(child, "go");
        hand_take(hand, 1, SOON_MS);
        int64_t now_us = bide_mono_us(bide_clock_system());
        took_us[i] = now_us - strtoll(hand->held[0].delivery->message->body, NULL, 10);
        hand_ack_all(hand);
        child_expect(child, "sent", SOON_MS);
    }
    qsort(took_us, ROUNDS, sizeof took_us[0], by_size);
    print_message("from send to hand: median %lld us, longest %lld us\n", (long long)took_us[ROUNDS / 2],
        (long long)took_us[ROUNDS - 1]);
    assert_between(took_us[ROUNDS / 2], 0, WAKE_MAX_US);
}

static void wakes_for_its_own_process(void **state)
{
    struct fixture *fixture = *state;
    enum { ROUNDS = 9 };
    int64_t took_us[ROUNDS];
    struct hand *hand = hand_open(fixture);
    fixture_sender(fixture);
    for (size_t i = 0; i < ROUNDS; i++) {
        hand_serve_for(hand, 20);
        fixture_fill(fixture, 0, i, 1, 0);
        int64_t sent_us = bide_mono_us(bide_clock_system());
        hand_take(hand, 1, SOON_MS);
        took_us[i] = bide_mono_us(bide_clock_system()) - sent_us;
        hand_ack_all(hand);
    }
    qsort(took_us, ROUNDS, sizeof took_us[0], by_size);
    print_message("from sent to hand: median %lld us\n", (long long)took_us[ROUNDS / 2]);
    assert_between(took_us[ROUNDS / 2], 0, WAKE_MAX_US);
}

static const struct CMUnitTest cases[] = {
    CASE("waiting/sleeps-when-empty", sleeps_when_empty),
    CASE("waiting/sleeps-while-delayed", sleeps_while_messages_are_delayed),
    CASE("waiting/sleeps-at-its-limit", sleeps_at_its_limit),
    CASE("waiting/sleeps-when-shut", sleeps_when_shut_while_others_fall_due),
    CASE_OF_SERVERS("waiting/wakes-for-another-process", wakes_for_another_process),
    CASE("waiting/wakes-for-its-own-process", wakes_for_its_own_process),
};
CASE_GROUP(waiting_cases, cases);
