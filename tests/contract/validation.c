/* What is too large, and what nobody serves. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"

static struct bide_message *sized(const struct fixture *fixture, size_t i, size_t size)
{
    static const char bytes[4096];
    bide_error error;
    struct bide_message *message = fixture_message(fixture, i, 0);
    assert_ok(bide_message_set_body(message, bytes, size, &error), &error);
    return message;
}

static void oversized(void **state)
{
    struct fixture *fixture = *state;
    static struct listed listed;
    fixture_sender(fixture); /* with the large maximum */
    fixture->options.max_body = 1000;
    struct hand *hand = hand_open(fixture);
    fixture_send(fixture, sized(fixture, 0, 1001));
    fixture_send(fixture, sized(fixture, 1, 1000));
    hand_take(hand, 2, SOON_MS);
    char id[FIXTURE_ID];
    size_t large = hand_find(hand, fixture_id(fixture, 0, id));
    assert_int_equal(hand->held[large].delivery->defect, BIDE_REASON_OVERSIZED);
    assert_non_null(hand->held[large].delivery->defect_text);
    assert_int_equal(hand->held[1 - large].delivery->defect, BIDE_REASON_NONE);
    hand_give(hand, large, dead_of(BIDE_REASON_OVERSIZED, 0, "too large"));
    hand_ack_all(hand);
    list_dead(fixture, (struct bide_dead_filter){0}, &listed);
    assert_int_equal(listed.n, 1);
    assert_string_equal(listed.ids[0], id);
    assert_int_equal(listed.reasons[0], BIDE_REASON_OVERSIZED);
    listed_clear(&listed);
}

/* Where queues come into being by sending, such a message waits in its queue. */
static void expect_in_its_queue(struct fixture *fixture, const char *const *queues, size_t first, size_t n)
{
    fixture->options.queues = queues;
    fixture->options.n_queues = 1;
    struct hand *hand = hand_open(fixture);
    hand_take(hand, n, SOON_MS);
    for (size_t i = 0; i < n; i++) {
        assert_true(fixture_index(fixture, hand->held[i].delivery->message->id) - first < n);
        assert_string_equal(hand->held[i].delivery->message->queue, queues[0]);
        assert_int_equal(hand->held[i].delivery->message->attempt, 1);
    }
    hand_ack_all(hand);
}

/* Elsewhere it is a dead letter, reason unrouted, that comes home once the queue exists. */
static void expect_unrouted(struct fixture *fixture, const char *const *queues, size_t first, size_t n)
{
    static struct listed listed;
    struct bide_dead_filter unrouted = {.queue = queues[0], .reason = BIDE_REASON_UNROUTED};
    struct deadline deadline = deadline_in_ms(SOON_MS);
    list_dead(fixture, unrouted, &listed);
    while (listed.n < n && !deadline_passed(&deadline)) {
        listed_clear(&listed);
        deadline_nap(&deadline);
        list_dead(fixture, unrouted, &listed);
    }
    assert_int_equal(listed.n, n);
    listed_clear(&listed);
    fixture->options.queues = queues;
    fixture->options.n_queues = 1;
    struct hand *hand = hand_open(fixture);
    hand_expect_none(hand, QUIET_MS);
    assert_int_equal(retry_dead(fixture, unrouted), n);
    hand_close(hand);
    expect_in_its_queue(fixture, queues, first, n);
    list_dead(fixture, unrouted, &listed);
    assert_int_equal(listed.n, 0);
}

static void unknown_queue(void **state)
{
    struct fixture *fixture = *state;
    bide_error error;
    char name[64];
    snprintf(name, sizeof name, "nobody-%u", fixture->serial);
    const char *const queues[] = {name};
    struct hand *hand = hand_open(fixture); /* serves others */
    for (size_t i = 0; i < 5; i++) {
        struct bide_message *message = fixture_message(fixture, i, 0);
        assert_ok(bide_message_set_queue(message, name, &error), &error);
        fixture_send(fixture, message);
    }
    fixture_fill(fixture, 0, 5, 5, 0);
    hand_take(hand, 5, SOON_MS);
    hand_expect_none(hand, QUIET_MS);
    hand_ack_all(hand);
    if (fixture->adapter->creates_queues)
        expect_in_its_queue(fixture, queues, 0, 5);
    else
        expect_unrouted(fixture, queues, 0, 5);
}

static void nothing_there_to_open(void **state)
{
    struct fixture *fixture = *state;
    bide_error error;
    struct bide_url url;
    struct bide_sender *sender = NULL;
    const char *path = strcmp(fixture->adapter->name, "sqlite") == 0  ? "sqlite:/no/such/folder/bide.db"
                       : strcmp(fixture->adapter->name, "redis") == 0 ? "redis://127.0.0.1:1/0"
                                                                      : "amqp://127.0.0.1:1/";
    assert_ok(bide_url_parse(path, &url, &error), &error);
    fixture->options.url = &url;
    fixture->options.timeout_ms = 1000;
    error.text[0] = '\0';
    struct deadline deadline = deadline_in_ms(10000);
    bide_code code = fixture->adapter->open_sender(&fixture->options, &sender, &error);
    if (code == BIDE_OK) { /* connects when it sends */
        struct bide_message *message = fixture_message(fixture, 0, 0);
        enum bide_sent result = BIDE_SENT_UNKNOWN;
        assert_ok(bide_message_stamp(message, "default", bide_clock_system(), &error), &error);
        code = bide_sender_send(sender, &message, 1, &result, &error);
        assert_int_not_equal(result, BIDE_SENT_OK);
        bide_message_destroy(message);
        bide_sender_destroy(sender);
    }
    bide_url_clear(&url);
    assert_false(deadline_passed(&deadline));
    assert_int_not_equal(code, BIDE_OK);
    assert_true(strlen(error.text) > 10);
    print_message("%s: %s\n", bide_code_name(code), error.text);
}

static void unknown_url_option(void **state)
{
    struct fixture *fixture = *state;
    bide_error error;
    struct bide_url url;
    struct bide_admin *admin = NULL;
    char text[1024];
    snprintf(text, sizeof text, "%s%cnonsense=1", fixture->settings->url,
        strchr(fixture->settings->url, '?') ? '&' : '?');
    assert_ok(bide_url_parse(text, &url, &error), &error);
    fixture->options.url = &url;
    bide_code code = fixture->adapter->open_admin(&fixture->options, &admin, &error);
    if (code == BIDE_OK)
        bide_admin_destroy(admin);
    bide_url_clear(&url);
    assert_int_equal(code, BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "nonsense"));
}

static const struct CMUnitTest cases[] = {
    CASE("validation/oversized", oversized),
    CASE("validation/unknown-queue", unknown_queue),
    CASE_OF_SERVERS("validation/nothing-there-to-open", nothing_there_to_open),
    CASE("validation/unknown-url-option", unknown_url_option),
};
CASE_GROUP(validation_cases, cases);
