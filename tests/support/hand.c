#include "support/hand.h"

#include <poll.h>
#include <time.h>
#include <string.h>

#include "base/alloc.h"
#include "support/broker_fixture.h"
#include "support/test.h"

enum { BATCH = 256, FLUSH_MS = 20000 };

static struct hand *free_slot(struct fixture *fixture)
{
    for (size_t i = 0; i < FIXTURE_HANDS; i++)
        if (!fixture->hands[i].receiver)
            return &fixture->hands[i];
    fail_msg("no free hand in the fixture");
    return NULL;
}

struct hand *hand_open_shut(struct fixture *fixture)
{
    struct hand *hand = free_slot(fixture);
    bide_error error;
    assert_ok(fixture->adapter->open_receiver(&fixture->options, &hand->receiver, &error), &error);
    hand->landing_ms = fixture->adapter->landing_ms;
    return hand;
}

struct hand *hand_open(struct fixture *fixture)
{
    struct hand *hand = hand_open_shut(fixture);
    for (size_t i = 0; i < fixture->options.n_queues; i++)
        hand->receiver->ops->limit(hand->receiver, i, HAND_LIMIT);
    return hand;
}

void hand_close(struct hand *hand)
{
    if (!hand->receiver)
        return;
    for (size_t i = 0; i < hand->n; i++)
        hand->receiver->ops->forget(hand->receiver, hand->held[i].delivery);
    bide_receiver_destroy(hand->receiver);
    bide_free(hand->held);
    *hand = (struct hand){0};
}

bide_code hand_receive(struct hand *hand, size_t *ret_n, bide_error *error)
{
    struct bide_delivery *deliveries[BATCH];
    size_t n = 0;
    bide_code code = hand->receiver->ops->receive(hand->receiver, deliveries, BATCH, &n, error);
    if (code != BIDE_OK)
        return code;
    int64_t now_ms = bide_wall_ms(bide_clock_system());
    if (hand->n + n > hand->capacity) {
        size_t capacity = (hand->n + n) * 2;
        struct held *held = bide_realloc(hand->held, capacity * sizeof *held);
        if (!held)
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        hand->held = held;
        hand->capacity = capacity;
    }
    for (size_t i = 0; i < n; i++)
        hand->held[hand->n++] = (struct held){deliveries[i], now_ms};
    *ret_n = n;
    return BIDE_OK;
}

static void sleep_as_told(struct hand *hand, const struct deadline *until)
{
    struct bide_wait wait = {.timeout_us = -1};
    hand->receiver->ops->wait(hand->receiver, &wait);
    int64_t us = deadline_left_us(until);
    if (wait.timeout_us >= 0 && wait.timeout_us < us)
        us = wait.timeout_us;
    struct timespec timeout = {us / 1000000, us % 1000000 * 1000};
    hand->waits++;
    ppoll(wait.fds, wait.n_fds, &timeout, NULL);
}

bide_code hand_serve(struct hand *hand, const struct deadline *until, bide_error *error)
{
    size_t n = 0;
    bide_code code = hand_receive(hand, &n, error);
    if (code == BIDE_OK && n == 0)
        sleep_as_told(hand, until);
    return code;
}

void hand_give(struct hand *hand, size_t index, struct bide_settlement settlement)
{
    settlement.delivery = hand->held[index].delivery;
    hand->n--;
    memmove(&hand->held[index], &hand->held[index + 1], (hand->n - index) * sizeof *hand->held);
    hand->receiver->ops->settle(hand->receiver, &settlement, 1);
}

size_t hand_unsettled(const struct hand *hand)
{
    struct bide_receiver_stats stats;
    hand->receiver->ops->stats(hand->receiver, &stats);
    return stats.unsettled;
}

void hand_take(struct hand *hand, size_t n, int64_t within_ms)
{
    struct deadline deadline = deadline_in_ms(within_ms);
    bide_error error;
    while (hand->n < n && !deadline_passed(&deadline))
        assert_ok(hand_serve(hand, &deadline, &error), &error);
    if (hand->n < n)
        fail_msg("%zu of %zu handed out within %lld ms", hand->n, n, (long long)within_ms);
}

void hand_serve_for(struct hand *hand, int64_t ms)
{
    struct deadline deadline = deadline_in_ms(ms);
    bide_error error;
    while (!deadline_passed(&deadline))
        assert_ok(hand_serve(hand, &deadline, &error), &error);
}

void hand_expect_none(struct hand *hand, int64_t ms)
{
    size_t before = hand->n;
    hand_serve_for(hand, ms);
    if (hand->n > before)
        fail_msg(
            "%zu more handed out, first '%s'", hand->n - before, hand->held[before].delivery->message->id);
}

void hand_flush(struct hand *hand)
{
    struct deadline deadline = deadline_in_ms(FLUSH_MS);
    bide_error error;
    size_t n = 0;
    assert_ok(hand_receive(hand, &n, &error), &error);
    while (hand_unsettled(hand) > 0 && !deadline_passed(&deadline)) {
        sleep_as_told(hand, &deadline);
        assert_ok(hand_receive(hand, &n, &error), &error);
    }
    struct bide_receiver_stats stats;
    hand->receiver->ops->stats(hand->receiver, &stats);
    if (stats.unsettled > 0 || stats.lost > 0)
        fail_msg("%zu settlements not final, %llu lost", stats.unsettled, (unsigned long long)stats.lost);
}

void hand_settle_all(struct hand *hand, const struct bide_settlement *like)
{
    while (hand->n > 0) {
        struct bide_settlement settlement = *like;
        if (like->error)
            settlement.error = bide_strdup(like->error);
        hand_give(hand, 0, settlement);
    }
    hand_flush(hand);
}

void hand_ack_all(struct hand *hand)
{
    hand_settle_all(hand, &(struct bide_settlement){.verdict = BIDE_VERDICT_ACK});
}

size_t hand_find(const struct hand *hand, const char *id)
{
    for (size_t i = 0; i < hand->n; i++)
        if (strcmp(hand->held[i].delivery->message->id, id) == 0)
            return i;
    fail_msg("'%s' is not among the %zu held", id, hand->n);
    return 0;
}
