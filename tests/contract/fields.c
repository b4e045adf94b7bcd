/* Every field of a message comes back as it was sent. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"
#include "message/failures.h"

static void set_body(struct bide_message *message, const void *bytes, size_t size)
{
    bide_error error;
    assert_ok(bide_message_set_body(message, bytes, size, &error), &error);
}

static void set_header(struct bide_message *message, const char *name, const char *value)
{
    bide_error error;
    assert_ok(bide_message_set_header(message, name, value, &error), &error);
}

static const struct bide_message *sent_and_taken(
    struct fixture *fixture, struct bide_message *message, struct hand **ret_hand)
{
    struct hand *hand = hand_open(fixture);
    fixture_send(fixture, message);
    hand_take(hand, 1, SOON_MS);
    assert_int_equal(hand->held[0].delivery->defect, BIDE_REASON_NONE);
    *ret_hand = hand;
    return hand->held[0].delivery->message;
}

static void all_fields(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand;
    char id[FIXTURE_ID];
    bide_error error;
    struct bide_message *message = fixture_message(fixture, 5, 0);
    assert_ok(bide_message_set_content_type(message, "application/json; charset=utf-8", &error), &error);
    assert_ok(bide_message_set_expires_after_ms(message, 3600 * 1000, &error), &error);
    set_header(message, "tenant", "blue");
    set_header(message, "Grüße", "aus Köln \xE2\x9C\x93");
    set_header(message, "empty", "");
    int64_t before_ms = now_ms();
    const struct bide_message *got = sent_and_taken(fixture, message, &hand);
    assert_string_equal(got->id, fixture_id(fixture, 5, id));
    assert_string_equal(got->type, "job");
    assert_string_equal(got->queue, fixture->queues[0]);
    assert_string_equal(got->content_type, "application/json; charset=utf-8");
    assert_string_equal(got->error, "");
    assert_int_equal(got->attempt, 1);
    assert_int_equal(got->n_headers, 3);
    assert_string_equal(bide_message_header(got, "tenant"), "blue");
    assert_string_equal(bide_message_header(got, "Grüße"), "aus Köln \xE2\x9C\x93");
    assert_string_equal(bide_message_header(got, "empty"), "");
    assert_between(got->sent_ms, before_ms - 1000, now_ms()); /* AMQP's timestamp counts in seconds */
    assert_between(got->due_ms, before_ms - 1000, now_ms());
    assert_between(got->expires_ms, before_ms + 3600 * 1000 - 1000, now_ms() + 3600 * 1000);
    hand_ack_all(hand);
}

/* The key and its generation go with the message: delayed, retried, dead and replayed. */
static void the_unique_key(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand;
    bide_error error;
    uint64_t n;
    struct bide_message *message = fixture_message(fixture, 1, 300);
    assert_ok(bide_message_set_unique(message, "a key \xE2\x9C\x93", &error), &error);
    message->generation = "deadbeef.1f";
    const struct bide_message *got = sent_and_taken(fixture, message, &hand);
    for (int step = 0;; step++) {
        assert_string_equal(got->unique, "a key \xE2\x9C\x93");
        assert_string_equal(got->generation, "deadbeef.1f");
        if (step == 2)
            break;
        hand_give(
            hand, 0, step == 0 ? retry_at(now_ms() + 100, 2, "no") : dead_of(BIDE_REASON_REJECTED, 2, "no"));
        hand_flush(hand);
        struct bide_admin *admin = fixture_admin(fixture);
        const struct bide_dead_filter all = {.ids = NULL};
        if (step == 1)
            assert_ok(admin->ops->dead_retry(admin, &all, NULL, NULL, &n, &error), &error);
        hand_take(hand, 1, SOON_MS);
        got = hand->held[0].delivery->message;
    }
    hand_ack_all(hand);
}

static void times_of_a_delayed_one(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand;
    bide_error error;
    struct bide_message *message = fixture_message(fixture, 1, 700);
    assert_ok(bide_message_set_expires_after_ms(message, 90 * 1000, &error), &error);
    assert_ok(bide_message_stamp(message, fixture->queues[0], bide_clock_system(), &error), &error);
    int64_t due_ms = message->due_ms, sent_ms = message->sent_ms, expires_ms = message->expires_ms;
    const struct bide_message *got = sent_and_taken(fixture, message, &hand);
    assert_int_equal(got->due_ms, due_ms);
    assert_between(got->sent_ms, sent_ms - 999, sent_ms);
    assert_int_equal(got->expires_ms, expires_ms);
    hand_ack_all(hand);
}

static void without_expiry(void **state)
{
    struct hand *hand;
    const struct bide_message *got = sent_and_taken(*state, fixture_message(*state, 1, 0), &hand);
    assert_int_equal(got->expires_ms, 0);
    assert_int_equal(got->n_headers, 0);
    assert_string_equal(got->content_type, "");
    hand_ack_all(hand);
}

static void expect_body(struct fixture *fixture, const void *bytes, size_t size)
{
    struct hand *hand;
    struct bide_message *message = fixture_message(fixture, 1, 0);
    set_body(message, bytes, size);
    const struct bide_message *got = sent_and_taken(fixture, message, &hand);
    assert_int_equal(got->body_size, size);
    if (size > 0)
        assert_memory_equal(got->body, bytes, size);
    assert_int_equal(((const char *)got->body)[size], 0);
    hand_ack_all(hand);
    hand_close(hand);
}

static void body_of_any_bytes(void **state)
{
    unsigned char bytes[512];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    expect_body(*state, bytes, sizeof bytes);
}

static void body_of_nuls(void **state)
{
    expect_body(*state, "\0\0\0", 3);
}

static void body_empty(void **state)
{
    expect_body(*state, "", 0);
}

static void body_of_text(void **state)
{
    expect_body(*state, "{\"text\":\"žluťoučký kůň 🐎\"}", strlen("{\"text\":\"žluťoučký kůň 🐎\"}"));
}

static void body_of_a_mebibyte(void **state)
{
    size_t size = 1 << 20;
    unsigned char *bytes = bide_malloc(size);
    assert_non_null(bytes);
    uint32_t random = 1;
    for (size_t i = 0; i < size; i++) {
        random = random * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(random >> 24);
    }
    expect_body(*state, bytes, size);
    bide_free(bytes);
}

static void expect_headers(const struct bide_message *message, const char *value)
{
    char name[16];
    assert_int_equal(message->n_headers, BIDE_HEADERS_MAX);
    for (int i = 0; i < BIDE_HEADERS_MAX; i++) {
        snprintf(name, sizeof name, "h%02d", i);
        assert_string_equal(bide_message_header(message, name), value);
    }
}

/* As many and as large as there may be: sent, retried, dead and replayed. */
static void many_headers(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand;
    static struct listed listed;
    char name[16], value[BIDE_HEADERS_BYTES / BIDE_HEADERS_MAX - 2]; /* with "hNN": as large as may be */
    struct bide_message *message = fixture_message(fixture, 1, 0);
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < BIDE_HEADERS_MAX; i++) {
        snprintf(name, sizeof name, "h%02d", i);
        set_header(message, name, value);
    }
    const struct bide_message *got = sent_and_taken(fixture, message, &hand);
    expect_headers(got, value);
    char failures[BIDE_FAILURES_TEXT_MAX + 1];
    memset(failures, 'f', sizeof failures - 1);
    failures[0] = '[';
    failures[sizeof failures - 1] = '\0';
    struct bide_settlement again = retry_at(now_ms(), 2, value);
    again.failures = bide_strdup(failures);
    hand_give(hand, 0, again); /* with a long error and a long history there is still room for all */
    hand_flush(hand);
    hand_take(hand, 1, SOON_MS);
    expect_headers(hand->held[0].delivery->message, value);
    assert_int_equal(hand->held[0].delivery->message->attempt, 2);
    assert_string_equal(hand->held[0].delivery->message->failures, failures);
    hand_give(hand, 0, dead_of(BIDE_REASON_EXHAUSTED, 2, value));
    hand_flush(hand);
    list_dead(fixture, (struct bide_dead_filter){0}, &listed);
    assert_int_equal(listed.n, 1);
    expect_headers(listed.first, value);
    listed_clear(&listed);
    assert_int_equal(retry_dead(fixture, (struct bide_dead_filter){0}), 1);
    hand_take(hand, 1, SOON_MS);
    expect_headers(hand->held[0].delivery->message, value);
    hand_ack_all(hand);
}

static void longest_names(void **state)
{
    struct fixture *fixture = *state;
    struct hand *hand;
    char id[BIDE_ID_MAX + 1], type[BIDE_NAME_MAX + 1];
    struct bide_message *message;
    bide_error error;
    memset(id, 'i', BIDE_ID_MAX);
    id[BIDE_ID_MAX] = '\0';
    memset(type, 't', BIDE_NAME_MAX);
    type[BIDE_NAME_MAX] = '\0';
    assert_ok(bide_message_create(type, &message, &error), &error);
    assert_ok(bide_message_set_id(message, id, &error), &error);
    const struct bide_message *got = sent_and_taken(fixture, message, &hand);
    assert_string_equal(got->id, id);
    assert_string_equal(got->type, type);
    hand_ack_all(hand);
}

static const struct CMUnitTest cases[] = {
    CASE("fields/all", all_fields),
    CASE("fields/the-unique-key", the_unique_key),
    CASE("fields/times-of-a-delayed-one", times_of_a_delayed_one),
    CASE("fields/unset", without_expiry),
    CASE("fields/body-of-any-bytes", body_of_any_bytes),
    CASE("fields/body-of-nuls", body_of_nuls),
    CASE("fields/body-empty", body_empty),
    CASE("fields/body-of-text", body_of_text),
    CASE("fields/body-of-a-mebibyte", body_of_a_mebibyte),
    CASE("fields/many-headers", many_headers),
    CASE("fields/longest-names", longest_names),
};
CASE_GROUP(fields_cases, cases);
