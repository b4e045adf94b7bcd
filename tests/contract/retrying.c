/* A retry is the same message again, later, with its attempt and what went wrong. */
#include <stdio.h>

#include "base/alloc.h"
#include "contract/cases.h"

/* The message 1 with everything set that must survive. */
static void send_marked(struct fixture *fixture)
{
    bide_error error;
    struct bide_message *message = fixture_message(fixture, 1, 0);
    assert_ok(bide_message_set_header(message, "tenant", "blue", &error), &error);
    assert_ok(bide_message_set_header(message, "x-death", "of the application", &error), &error);
    assert_ok(bide_message_set_content_type(message, "text/plain", &error), &error);
    assert_ok(bide_message_set_body(message, "a\0b", 3, &error), &error);
    assert_ok(bide_message_set_expires_after_ms(message, 3600 * 1000, &error), &error);
    fixture_send(fixture, message);
}

static void expect_marked(const struct fixture *fixture, const struct bide_message *got, int64_t expires_ms)
{
    char id[FIXTURE_ID];
    assert_string_equal(got->id, fixture_id(fixture, 1, id));
    assert_string_equal(got->type, "job");
    assert_string_equal(got->queue, fixture->queues[0]);
    assert_string_equal(got->content_type, "text/plain");
    assert_int_equal(got->n_headers, 2);
    assert_string_equal(bide_message_header(got, "tenant"), "blue");
    assert_string_equal(bide_message_header(got, "x-death"), "of the application");
    assert_int_equal(got->body_size, 3);
    assert_memory_equal(got->body, "a\0b", 3);
    assert_int_equal(got->expires_ms, expires_ms);
}

static void once_with_everything(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    send_marked(fixture);
    hand_take(hand, 1, SOON_MS);
    int64_t expires_ms = hand->held[0].delivery->message->expires_ms;
    int64_t sent_ms = hand->held[0].delivery->message->sent_ms;
    int64_t due_ms = now_ms() + 900;
    hand_give(hand, 0,
        retry_at(due_ms, 2,
            "HTTP 503: \xC3\xBC"
            "ber"));
    hand_flush(hand);
    hand_take(hand, 1, 2 * SOON_MS);
    const struct bide_message *got = hand->held[0].delivery->message;
    expect_marked(fixture, got, expires_ms);
    assert_int_equal(got->attempt, 2);
    assert_int_equal(got->due_ms, due_ms);
    assert_int_equal(got->sent_ms, sent_ms);
    assert_string_equal(got->error, "HTTP 503: \xC3\xBC"
                                    "ber");
    assert_between(hand->held[0].handed_ms - due_ms, -hand->landing_ms - 1, LATE_MS);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

static void ten_rounds(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    char text[32];
    send_marked(fixture);
    hand_take(hand, 1, SOON_MS);
    int64_t expires_ms = hand->held[0].delivery->message->expires_ms;
    for (int round = 1; round <= 10; round++) {
        int64_t due_ms = now_ms() + 60 * round;
        snprintf(text, sizeof text, "failure %d", round);
        hand_give(hand, 0, retry_at(due_ms, round + 1, text));
        hand_flush(hand);
        hand_take(hand, 1, 2 * SOON_MS);
        const struct bide_message *got = hand->held[0].delivery->message;
        expect_marked(fixture, got, expires_ms);
        assert_int_equal(got->attempt, round + 1);
        assert_string_equal(got->error, text);
        assert_between(hand->held[0].handed_ms - due_ms, -hand->landing_ms - 1, LATE_MS);
    }
    hand_ack_all(hand);
    fixture_expect_counts(fixture, 0, 0, 0, 0, 0);
}

/* A worker that may not run a message (a pause, an open circuit) holds it back, again and again: it must not
 * be handed out again at once because it is nearly due. */
static void held_back_stays_away(void **state)
{
    enum { AWAY_MS = 800, TEST_MS = 1600, MOST = 20 };
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 1, 0);
    hand_take(hand, 1, SOON_MS);
    int64_t until_ms = now_ms() + TEST_MS;
    int rounds = 0;
    for (; now_ms() < until_ms; rounds++) {
        hand_give(hand, 0, retry_at(now_ms() + AWAY_MS, 1, NULL));
        hand_flush(hand);
        hand_take(hand, 1, 2 * SOON_MS);
        assert_int_equal(hand->held[0].delivery->message->attempt, 1);
    }
    hand_ack_all(hand);
    assert_between(rounds, 1, MOST);
}

static void due_now(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 100, 0);
    hand_take(hand, 100, MANY_MS);
    for (size_t i = 0; i < 100; i++)
        hand_give(hand, 0, retry_at(i % 2 ? now_ms() : now_ms() - 5000, 2, "at once"));
    hand_flush(hand);
    hand_take(hand, 100, SOON_MS);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(hand->held[i].delivery->message->attempt, 2);
    hand_ack_all(hand);
}

static void without_error_keeps_the_last(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 1, 0);
    hand_take(hand, 1, SOON_MS);
    hand_give(hand, 0, retry_at(now_ms(), 2, "the first"));
    hand_flush(hand);
    hand_take(hand, 1, SOON_MS);
    hand_give(hand, 0, retry_at(now_ms(), 3, NULL));
    hand_flush(hand);
    hand_take(hand, 1, SOON_MS);
    assert_string_equal(hand->held[0].delivery->message->error, "the first");
    assert_int_equal(hand->held[0].delivery->message->attempt, 3);
    hand_ack_all(hand);
}

static void carries_all_failures(void **state)
{
    struct fixture *fixture = *state;
    static struct listed listed;
    static const char failures[] = "[{\"attempt\":1,\"at_ms\":2,\"error\":\"a\\n\\\\\\u001eb\"}]";
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 1, 0);
    hand_take(hand, 1, SOON_MS);
    struct bide_settlement first = retry_at(now_ms(), 2, "the first");
    first.failures = bide_strdup(failures);
    hand_give(hand, 0, first);
    hand_flush(hand);
    hand_take(hand, 1, SOON_MS);
    assert_string_equal(hand->held[0].delivery->message->error, "the first");
    assert_string_equal(hand->held[0].delivery->message->failures, failures);
    hand_give(hand, 0, dead_of(BIDE_REASON_REJECTED, 2, "the last"));
    hand_flush(hand);
    list_dead(fixture, (struct bide_dead_filter){0}, &listed);
    assert_string_equal(listed.first->error, "the last");
    assert_string_equal(listed.first->failures, failures);
    listed_clear(&listed);
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){0}), 1);
    hand_take(hand, 1, SOON_MS);
    assert_string_equal(hand->held[0].delivery->message->failures, "");
    hand_ack_all(hand);
}

static void on_the_other_queue(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 1, 0, 1, 0);
    hand_take(hand, 1, SOON_MS);
    hand_give(hand, 0, retry_at(now_ms() + 150, 2, "again"));
    hand_flush(hand);
    hand_take(hand, 1, SOON_MS);
    assert_int_equal(hand->held[0].delivery->queue, 1);
    assert_string_equal(hand->held[0].delivery->message->queue, fixture->queues[1]);
    hand_ack_all(hand);
}

static const struct CMUnitTest cases[] = {
    CASE("retrying/once-with-everything", once_with_everything),
    CASE("retrying/ten-rounds", ten_rounds),
    CASE("retrying/held-back-stays-away", held_back_stays_away),
    CASE("retrying/due-now", due_now),
    CASE("retrying/without-error-keeps-the-last", without_error_keeps_the_last),
    CASE("retrying/carries-all-failures", carries_all_failures),
    CASE("retrying/on-the-other-queue", on_the_other_queue),
};
CASE_GROUP(retrying_cases, cases);
