/* The sender: what it confirms is in the broker, each once, in order. */
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"

static void send_one(void **state)
{
    struct fixture *fixture = *state;
    char id[FIXTURE_ID];
    struct hand *hand = hand_open(fixture);
    fixture_send(fixture, fixture_message(fixture, 1, 0));
    hand_take(hand, 1, SOON_MS);
    assert_string_equal(hand->held[0].delivery->message->id, fixture_id(fixture, 1, id));
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

static void send_before_anyone_receives(void **state)
{
    struct fixture *fixture = *state;
    fixture_fill(fixture, 0, 0, 3, 0);
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 3, SOON_MS);
    hand_ack_all(hand);
}

/* Asserts that the hand holds 0 … n-1, each once; ordered: in that order. */
static void expect_all(const struct fixture *fixture, const struct hand *hand, size_t n, bool ordered)
{
    bool *seen = bide_calloc(n, sizeof *seen);
    assert_int_equal(hand->n, n);
    for (size_t i = 0; i < n; i++) {
        size_t index = fixture_index(fixture, hand->held[i].delivery->message->id);
        assert_true(index < n);
        assert_false(seen[index]);
        seen[index] = true;
        if (ordered)
            assert_int_equal(index, i);
    }
    bide_free(seen);
}

static void send_thousand(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_fill(fixture, 0, 0, 1000, 0);
    hand_take(hand, 1000, MANY_MS);
    expect_all(fixture, hand, 1000, false);
    hand_ack_all(hand);
    hand_expect_none(hand, QUIET_MS);
}

static void first_in_first_out(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 20; i++)
        fixture_fill(fixture, 0, i * 25, 25, 0);
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 500, MANY_MS);
    expect_all(fixture, hand, 500, true);
    hand_ack_all(hand);
}

static void send_none(void **state)
{
    struct fixture *fixture = *state;
    fixture_send_many(fixture, NULL, 0);
}

/* Lets some time pass whenever it is asked. */
static int64_t slow_mono_us(const struct bide_clock *self)
{
    (void)self;
    poll(NULL, 0, 40);
    return bide_mono_us(bide_clock_system());
}

static int64_t slow_wall_us(const struct bide_clock *self)
{
    (void)self;
    return bide_wall_us(bide_clock_system());
}

/* A sender that is slow for a moment finds the broker's confirms already there, and must not wait for more.
 */
static void confirmed_before_it_waits(void **state)
{
    static const struct bide_clock slow = {slow_wall_us, slow_mono_us};
    enum { BODY = 100000, MOST_MS = 800 };
    static const char body[BODY];
    struct fixture *fixture = *state;
    bide_error error;
    int64_t fastest_ms = INT64_MAX;
    fixture->options.clock = &slow;
    fixture_sender(fixture);
    for (size_t i = 0; i < 2; i++) { /* once might be slow for another reason */
        struct bide_message *message = fixture_message(fixture, i, 0);
        assert_ok(bide_message_set_body(message, body, sizeof body, &error), &error);
        int64_t begun_ms = bide_mono_ms(bide_clock_system());
        fixture_send(fixture, message);
        int64_t took_ms = bide_mono_ms(bide_clock_system()) - begun_ms;
        fastest_ms = took_ms < fastest_ms ? took_ms : fastest_ms;
    }
    assert_true(fastest_ms < MOST_MS);
}

static void same_id_twice(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand = hand_open(fixture);
    fixture_send(fixture, fixture_message(fixture, 7, 0));
    fixture_send(fixture, fixture_message(fixture, 7, 0));
    hand_take(hand, 2, SOON_MS);
    assert_string_equal(hand->held[0].delivery->message->id, hand->held[1].delivery->message->id);
    hand_ack_all(hand);
}

struct sending_thread {
    struct fixture *fixture;
    struct bide_sender *sender;
    struct bide_message *messages[500];
    enum bide_sent results[500];
    bide_code code;
    bide_error error;
};

static void *send_in_thread(void *user)
{
    struct sending_thread *thread = user;
    for (size_t i = 0; i < 500 && thread->code == BIDE_OK; i += 50)
        thread->code =
            bide_sender_send(thread->sender, &thread->messages[i], 50, &thread->results[i], &thread->error);
    return NULL;
}

static void two_senders_at_once(void **state)
{
    struct fixture *fixture = *state;
    static struct sending_thread threads[2];
    pthread_t ids[2];
    bide_error error;
    memset(threads, 0, sizeof threads);
    for (size_t t = 0; t < 2; t++) {
        assert_ok(fixture->adapter->open_sender(&fixture->options, &threads[t].sender, &error), &error);
        for (size_t i = 0; i < 500; i++) {
            threads[t].messages[i] = fixture_message(fixture, t * 500 + i, 0);
            assert_ok(
                bide_message_stamp(threads[t].messages[i], "default", bide_clock_system(), &error), &error);
        }
    }
    for (size_t t = 0; t < 2; t++)
        assert_int_equal(pthread_create(&ids[t], NULL, send_in_thread, &threads[t]), 0);
    for (size_t t = 0; t < 2; t++) {
        pthread_join(ids[t], NULL);
        bide_sender_destroy(threads[t].sender);
        for (size_t i = 0; i < 500; i++)
            bide_message_destroy(threads[t].messages[i]);
    }
    for (size_t t = 0; t < 2; t++)
        assert_ok(threads[t].code, &threads[t].error);
    struct hand *hand = hand_open(fixture);
    hand_take(hand, 1000, MANY_MS);
    expect_all(fixture, hand, 1000, false);
    hand_ack_all(hand);
}

static const struct CMUnitTest cases[] = {
    CASE("sending/one", send_one),
    CASE("sending/before-anyone-receives", send_before_anyone_receives),
    CASE("sending/thousand-in-a-batch", send_thousand),
    CASE("sending/first-in-first-out", first_in_first_out),
    CASE("sending/none", send_none),
    CASE("sending/confirmed-before-it-waits", confirmed_before_it_waits),
    CASE("sending/same-id-twice", same_id_twice),
    CASE("sending/two-senders-at-once", two_senders_at_once),
};
CASE_GROUP(sending_cases, cases);
