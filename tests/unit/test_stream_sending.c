/* bide/stream.h: what a sender does, and in which order. */
#include "bide/stream.h"
#include "sqlite_place.h"
#include "streams/stream.h"

enum { MAX_BODY = 3 * 1024 * 1024 };

static bide_producer *open_producer(const struct place *place)
{
    const bide_producer_options options = {.max_body = MAX_BODY};
    bide_producer *producer;
    bide_error error;
    char url[sizeof place->path + 8];
    snprintf(url, sizeof url, "sqlite:%s", place->path);
    assert_ok(bide_producer_open(url, &options, &producer, &error), &error);
    return producer;
}

static bide_stream *begin(bide_producer *producer, const char *on_end)
{
    const bide_stream_options options = {.queue = "mail", .name = "file", .on_end = on_end};
    bide_stream *stream;
    bide_error error;
    assert_ok(bide_stream_begin(producer, &options, &stream, &error), &error);
    return stream;
}

static bide_code add(bide_stream *stream, size_t body_size)
{
    static const char body[MAX_BODY + 1];
    bide_message *message;
    bide_error error;
    assert_ok(bide_message_create("line", &message, &error), &error);
    assert_ok(bide_message_set_body(message, body, body_size, &error), &error);
    return bide_stream_add(stream, message, &error);
}

static void end(bide_stream *stream)
{
    bide_error error;
    assert_ok(bide_stream_end(stream, &error), &error);
}

struct seen {
    char state[16];
    int64_t total;
};

static void note(void *user, const bide_stream_view *view)
{
    struct seen *seen = user;
    snprintf(seen->state, sizeof seen->state, "%s", view->state);
    seen->total = view->parts[0].total;
}

static void expect(bide_producer *producer, const char *id, const char *state, int64_t total)
{
    struct seen seen;
    bide_error error;
    assert_ok(bide_stream_show(producer, id, note, &seen, &error), &error);
    assert_string_equal(seen.state, state);
    assert_int_equal(seen.total, total);
}

/* What does not fit is no member: the others are numbered without a gap. */
static void test_members_are_numbered(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_stream *stream = begin(producer, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(add(stream, 1), BIDE_OK);
    assert_int_equal(add(stream, MAX_BODY + 1), BIDE_E_DATA);
    assert_int_equal(add(stream, 1), BIDE_OK);
    assert_int_equal(bide_stream_count(stream), 4);
    expect(producer, bide_stream_id(stream), "sending", -1);
    end(stream);
    expect(producer, bide_stream_id(stream), "running", 4);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message WHERE id LIKE 'stream-%:4'"), 1);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), 4);
    bide_stream_close(stream);
    bide_producer_close(producer);
}

/* Nobody could complete the set before the store knows how many there are. */
static void test_the_last_member_is_kept_back_until_the_total_is_known(void **state)
{
    enum { MANY = 1200 };
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_stream *stream = begin(producer, NULL);
    for (int i = 1; i <= MANY; i++) {
        assert_int_equal(add(stream, 1), BIDE_OK);
        assert_true(ask(place, "SELECT count(*) FROM bide_message") < i);
    }
    assert_true(ask(place, "SELECT count(*) FROM bide_message") > 0);
    end(stream);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), MANY);
    bide_stream_close(stream);
    bide_producer_close(producer);
}

/* Long lines do not wait for as many others. */
static void test_large_members_do_not_gather(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_stream *stream = begin(producer, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(add(stream, MAX_BODY), BIDE_OK);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), 3);
    end(stream);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), 4);
    bide_stream_close(stream);
    bide_producer_close(producer);
}

/* A member that comes behind the total would make the set complete before the others have ended. */
static void test_an_ended_stream_takes_no_more_members(void **state)
{
    bide_producer *producer = open_producer(*state);
    bide_stream *stream = begin(producer, NULL);
    assert_int_equal(add(stream, 1), BIDE_OK);
    end(stream);
    assert_int_equal(add(stream, 1), BIDE_E_USAGE);
    end(stream);
    expect(producer, bide_stream_id(stream), "running", 1);
    bide_stream_close(stream);
    bide_producer_close(producer);
}

/* A worker looks at it when it gets it, which may be early. */
static void test_the_deadline_is_not_met_early(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_stream *stream = begin(producer, "ended");
    assert_int_equal(
        ask(place, "SELECT due_ms - sent_ms FROM bide_message"), 24 * 3600 * 1000 + BIDE_LANDING_MAX_MS);
    bide_stream_close(stream);
    bide_producer_close(producer);
}

static void test_a_stream_with_end_messages_sends_its_deadlines_first(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_stream *stream = begin(producer, "ended");
    assert_int_equal(
        ask(place, "SELECT count(*) FROM bide_message WHERE id LIKE 'stream-%:deadline@mail' AND due_ms > "
                   "1000 * (strftime('%s', 'now') + 86000)"),
        1);
    end(stream); /* it is empty: nobody else tells of its end */
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message WHERE id LIKE 'stream-%:end@mail'"), 1);
    expect(producer, bide_stream_id(stream), "complete", 0);
    bide_stream_close(stream);
    bide_producer_close(producer);
}

static void test_a_cancelled_stream_is_noticed_and_ended(void **state)
{
    struct place *place = *state;
    bide_producer *producer = open_producer(place);
    bide_stream *stream = begin(producer, NULL);
    bide_error error;
    assert_ok(bide_stream_cancel(producer, bide_stream_id(stream), &error), &error);
    for (int i = 0; i < 2000 && !bide_stream_is_cancelled(stream); i++)
        assert_int_equal(add(stream, 1), BIDE_OK);
    assert_true(bide_stream_is_cancelled(stream));
    end(stream);
    expect(producer, bide_stream_id(stream), "cancelling", bide_stream_count(stream));
    bide_stream_close(stream);
    bide_producer_close(producer);
}

static void test_what_makes_no_stream_is_refused(void **state)
{
    static const char *const subscriptions[] = {"a", "b", "a"};
    static const bide_stream_options bad[] = {{0}, {.queue = "mail", .topic = "logs"}, {.topic = "logs"},
        {.topic = "no topic", .subscriptions = subscriptions, .n_subscriptions = 1}, {.queue = "no queue"},
        {.topic = "logs", .subscriptions = subscriptions, .n_subscriptions = 3},
        {.queue = "mail", .on_end = "no type"}, {.queue = "mail", .deadline_ms = -1}};
    bide_producer *producer = open_producer(*state);
    bide_stream *stream;
    bide_error error;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_not_equal(bide_stream_begin(producer, &bad[i], &stream, &error), BIDE_OK);
    bide_producer_close(producer);
    assert_ok(bide_producer_open("memory:", NULL, &producer, &error), &error);
    assert_int_equal(
        bide_stream_begin(producer, &(bide_stream_options){.queue = "mail"}, &stream, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "a stream or a transaction needs a store"));
    bide_producer_close(producer);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_members_are_numbered),
    CASE(test_the_last_member_is_kept_back_until_the_total_is_known),
    CASE(test_large_members_do_not_gather),
    CASE(test_an_ended_stream_takes_no_more_members),
    CASE(test_the_deadline_is_not_met_early),
    CASE(test_a_stream_with_end_messages_sends_its_deadlines_first),
    CASE(test_a_cancelled_stream_is_noticed_and_ended),
    CASE(test_what_makes_no_stream_is_refused),
};

UNIT_MAIN(tests)
