/* How many a receiver hands out at once is the user's to say. */
#include "base/alloc.h"
#include "contract/cases.h"

static void set_limit(struct hand *hand, size_t queue, size_t limit)
{
    hand->receiver->ops->limit(hand->receiver, queue, limit);
}

static void none_before_the_first_limit(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    fixture_fill(fixture, 0, 0, 10, 0);
    hand_expect_none(hand, QUIET_MS);
    set_limit(hand, 0, 10);
    hand_take(hand, 10, SOON_MS);
    hand_ack_all(hand);
}

static void no_more_than_the_limit(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    set_limit(hand, 0, 3);
    fixture_fill(fixture, 0, 0, 10, 0);
    hand_take(hand, 3, SOON_MS);
    hand_expect_none(hand, QUIET_MS);
    assert_int_equal(hand->n, 3);
    hand_give(hand, 0, ACK);
    hand_take(hand, 3, SOON_MS);
    hand_expect_none(hand, QUIET_MS);
    assert_int_equal(hand->n, 3);
}

static void raised_limit(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    set_limit(hand, 0, 2);
    fixture_fill(fixture, 0, 0, 10, 0);
    hand_take(hand, 2, SOON_MS);
    set_limit(hand, 0, 7);
    hand_take(hand, 7, SOON_MS);
    hand_expect_none(hand, QUIET_MS);
    assert_int_equal(hand->n, 7);
}

static void each_queue_has_its_own(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    set_limit(hand, 0, 2);
    set_limit(hand, 1, 4);
    fixture_fill(fixture, 0, 0, 10, 0);
    fixture_fill(fixture, 1, 10, 10, 0);
    hand_take(hand, 6, SOON_MS);
    hand_expect_none(hand, QUIET_MS);
    size_t of[FIXTURE_QUEUES] = {0, 0};
    for (size_t i = 0; i < hand->n; i++)
        of[hand->held[i].delivery->queue]++;
    assert_int_equal(of[0], 2);
    assert_int_equal(of[1], 4);
}

static void shut_again(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 5, 0);
    hand_take(hand, 5, SOON_MS);
    set_limit(hand, 0, 0);
    hand_serve_for(hand, QUIET_MS); /* what was under way may still come */
    hand_ack_all(hand);
    fixture_fill(fixture, 0, 5, 5, 0);
    hand_expect_none(hand, QUIET_MS);
    set_limit(hand, 0, 5);
    hand_take(hand, 5, SOON_MS);
    hand_ack_all(hand);
}

/* As pause and quiet do, and a prefetch that sinks and rises. */
static void shut_and_opened_with_some_in_hand(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    fixture_fill(fixture, 0, 0, 40, 0);
    for (int round = 0; round < 3; round++) {
        set_limit(hand, 0, 5);
        hand_take(hand, 5, SOON_MS);
        set_limit(hand, 0, 0);
        hand_serve_for(hand, QUIET_MS / 4);
        set_limit(hand, 0, 5);
        hand_give(hand, 0, ACK);
        hand_give(hand, 0, RELEASE);
        hand_serve_for(hand, QUIET_MS / 4);
    }
    hand_ack_all(hand);
    struct bide_receiver_stats stats;
    hand->receiver->ops->stats(hand->receiver, &stats);
    assert_int_equal(stats.reconnects, 0);
    assert_int_equal(stats.lost, 0);
}

static void delayed_ones_come_through_a_small_limit(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open_shut(fixture);
    set_limit(hand, 0, 1);
    fixture_fill(fixture, 0, 0, 50, 600);
    struct deadline deadline = deadline_in_ms(MANY_MS);
    bide_error error;
    for (size_t done = 0; done < 50;) {
        assert_false(deadline_passed(&deadline));
        assert_ok(hand_serve(hand, &deadline, &error), &error);
        for (; hand->n > 0; done++)
            hand_give(hand, 0, ACK);
    }
    hand_flush(hand);
    hand_expect_none(hand, QUIET_MS);
}

static size_t count_early(const struct hand *hand)
{
    size_t n = 0;
    for (size_t i = 0; i < hand->n; i++)
        n += hand->held[i].delivery->message->due_ms > now_ms();
    return n;
}

static void ack_due(struct hand *hand)
{
    for (size_t i = hand->n; i-- > 0;)
        if (hand->held[i].delivery->message->due_ms <= now_ms())
            hand_give(hand, i, ACK);
}

/* What falls due together is not all in the hands of who came first. */
static void early_ones_too(void **state)
{
    enum { N = 40, LIMIT = 2, EARLY = 4, DELAY_MS = 700 };
    struct fixture *fixture = *state;
    struct deadline deadline = deadline_in_ms(MANY_MS);
    bide_error error;
    size_t done = 0, most = 0;
    fixture->options.early_max = EARLY;
    struct hand *hand = hand_open_shut(fixture);
    set_limit(hand, 0, LIMIT);
    fixture_fill(fixture, 0, 0, N, DELAY_MS);
    while (done < N && !deadline_passed(&deadline)) {
        assert_ok(hand_serve(hand, &deadline, &error), &error);
        size_t before = hand->n, early = count_early(hand);
        most = early > most ? early : most;
        ack_due(hand);
        done += before - hand->n;
    }
    assert_int_equal(done, N);
    assert_between(most, 0, EARLY);
    hand_flush(hand);
}

static size_t bytes_in(const struct hand *hand)
{
    size_t bytes = 0;
    for (size_t i = 0; i < hand->n; i++)
        bytes += hand->held[i].delivery->message->body_size;
    return bytes;
}

/* Whatever the limits are: the bodies in hand stay within the budget, but for the one that reaches it. */
static void bytes_in_flight(void **state)
{
    enum { N = 12, BODY = 256 * 1024, BUDGET = 1024 * 1024 };
    struct fixture *fixture = *state;
    struct deadline deadline = deadline_in_ms(MANY_MS);
    bide_error error;
    size_t done = 0;
    char *body = bide_calloc(1, BODY);
    assert_non_null(body);
    for (size_t i = 0; i < N; i++) {
        struct bide_message *message = fixture_message(fixture, i, 0);
        assert_ok(bide_message_set_body(message, body, BODY, &error), &error);
        fixture_send(fixture, message);
    }
    bide_free(body);
    fixture->options.max_in_flight = BUDGET;
    struct hand *hand = hand_open(fixture);
    while (done < N && !deadline_passed(&deadline)) {
        assert_ok(hand_serve(hand, &deadline, &error), &error);
        assert_between(bytes_in(hand), 0, BUDGET + BODY);
        if (bytes_in(hand) + BODY > BUDGET || done + hand->n == N)
            for (; hand->n > 0; done++)
                hand_give(hand, 0, ACK);
    }
    assert_int_equal(done, N);
    hand_flush(hand);
}

static const struct CMUnitTest cases[] = {
    CASE("limits/none-before-the-first", none_before_the_first_limit),
    CASE("limits/no-more-than", no_more_than_the_limit),
    CASE("limits/raised", raised_limit),
    CASE("limits/each-queue-has-its-own", each_queue_has_its_own),
    CASE("limits/shut-again", shut_again),
    CASE("limits/shut-and-opened-with-some-in-hand", shut_and_opened_with_some_in_hand),
    CASE("limits/delayed-through-a-small-one", delayed_ones_come_through_a_small_limit),
    CASE("limits/early-ones-too", early_ones_too),
    CASE("limits/bytes-in-flight", bytes_in_flight),
};
CASE_GROUP(limit_cases, cases);
