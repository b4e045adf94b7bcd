/* Several queues and several receivers. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"

static void several_queues(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 10, 0);
    fixture_fill(fixture, 1, 10, 10, 0);
    hand_take(hand, 20, SOON_MS);
    for (size_t i = 0; i < hand->n; i++) {
        const struct bide_delivery *delivery = hand->held[i].delivery;
        size_t queue = fixture_index(fixture, delivery->message->id) < 10 ? 0 : 1;
        assert_int_equal(delivery->queue, queue);
        assert_string_equal(delivery->message->queue, fixture->queues[queue]);
    }
    hand_ack_all(hand);
}

static void only_the_configured_queues(void **state)
{
    struct fixture *fixture = *state;
    fixture_fill(fixture, 0, 0, 5, 0);
    fixture_fill(fixture, 1, 5, 5, 0);
    fixture->options.queues = &fixture->queues[1];
    fixture->options.n_queues = 1;
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 5, SOON_MS);
    hand_expect_none(hand, QUIET_MS);
    for (size_t i = 0; i < hand->n; i++) {
        assert_int_equal(hand->held[i].delivery->queue, 0);
        assert_string_equal(hand->held[i].delivery->message->queue, fixture->queues[1]);
    }
    hand_ack_all(hand);
}

static void flood_blocks_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    hand->receiver->ops->limit(hand->receiver, 0, 10);
    hand->receiver->ops->limit(hand->receiver, 1, 10);
    fixture_fill(fixture, 0, 0, 5000, 0);
    hand_take(hand, 10, SOON_MS);
    fixture_fill(fixture, 1, 5000, 1, 0);
    hand_take(hand, 11, SOON_MS);
    assert_int_equal(hand->held[10].delivery->queue, 1);
}

/* Serves two hands in turns until all n were handed out and acknowledged; counts each message. */
static void share(struct fixture *fixture, struct hand *hands[2], size_t n, unsigned *counts, size_t got[2])
{
    struct deadline deadline = deadline_in_ms(MANY_MS);
    bide_error error;
    while (got[0] + got[1] < n && !deadline_passed(&deadline))
        for (size_t h = 0; h < 2; h++) {
            struct deadline slice = deadline_in_ms(5);
            assert_ok(hand_serve(hands[h], &slice, &error), &error);
            for (; hands[h]->n > 0; got[h]++) {
                size_t index = fixture_index(fixture, hands[h]->held[0].delivery->message->id);
                assert_true(index < n);
                counts[index]++;
                hand_give(hands[h], 0, ACK);
            }
        }
}

static void two_receivers_share(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 2000 };
    unsigned *counts = bide_calloc(N, sizeof *counts);
    size_t got[2] = {0, 0};
    struct hand *hands[] = {hand_open_shut(fixture), hand_open_shut(fixture)};
    for (size_t h = 0; h < 2; h++)
        hands[h]->receiver->ops->limit(hands[h]->receiver, 0, 20);
    fixture_fill(fixture, 0, 0, N, 0);
    share(fixture, hands, N, counts, got);
    hand_flush(hands[0]);
    hand_flush(hands[1]);
    assert_int_equal(got[0] + got[1], N);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(counts[i], 1);
    bide_free(counts);
    assert_true(got[0] > 0 && got[1] > 0);
    hand_expect_none(hands[0], QUIET_MS);
}

static void namespaces_are_apart(void **state)
{
    struct fixture *fixture = *state;
    struct hand *here = hand_open(fixture);
    fixture_sender(fixture);
    char other[sizeof fixture->name_space + 8];
    snprintf(other, sizeof other, "%s-other", fixture->name_space);
    fixture->options.name_space = other;
    struct hand *there = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 5, 0);
    hand_take(here, 5, SOON_MS);
    hand_expect_none(there, QUIET_MS);
    hand_ack_all(here);
}

static const struct CMUnitTest cases[] = {
    CASE("receiving/several-queues", several_queues),
    CASE("receiving/only-the-configured-queues", only_the_configured_queues),
    CASE("receiving/flood-blocks-nobody", flood_blocks_nobody),
    CASE("receiving/two-receivers-share", two_receivers_share),
    CASE("receiving/namespaces-are-apart", namespaces_are_apart),
};
CASE_GROUP(receiving_cases, cases);
