/* streams/: the ids of a stream's messages, what the store has of it, and what becomes of both. */
#include <unistd.h>

#include "base/alloc.h"
#include "base/url.h"
#include "streams/manage.h"
#include "support/temp_dir.h"
#include "unit/unit.h"

#define STREAM "stream-0193f9c1-7a55-7c3e-9a10-1f2e3d4c5b6a"

static struct {
    struct temp_dir dir;
    struct bide_url url;
    struct bide_store *store;
    struct bide_stream_info info;
    char state[16];
    bide_stream_part parts[2];
    size_t n_seen;
} stage;

static int set_up(void **state)
{
    char text[TEMP_DIR_PATH + 64];
    (void)state;
    memset(&stage, 0, sizeof stage);
    assert_int_equal(temp_dir_create(&stage.dir), 0);
    snprintf(text, sizeof text, "sqlite:%s/store.db", stage.dir.path);
    assert_int_equal(bide_url_parse(text, &stage.url, NULL), BIDE_OK);
    const struct bide_store_options options = {.url = &stage.url,
        .name_space = "bide",
        .base_dir = "/",
        .client_name = "test",
        .timeout_ms = 10000,
        .clock = bide_clock_system()};
    assert_int_equal(bide_store_open(&options, &stage.store, NULL), BIDE_OK);
    stage.info = (struct bide_stream_info){.id = STREAM,
        .target = "@logs",
        .name = "access.log",
        .on_end = "ended",
        .queues = {"geo", "errors"},
        .n_queues = 2,
        .sent_ms = 1000,
        .deadline_ms = 60000};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bide_store_destroy(stage.store);
    bide_url_clear(&stage.url);
    temp_dir_remove(&stage.dir);
    return 0;
}

static void see(void *user, const bide_stream_view *view)
{
    (void)user;
    stage.n_seen++;
    assert_string_equal(view->id, STREAM);
    assert_string_equal(view->name, "access.log");
    assert_string_equal(view->on_end, "ended");
    assert_int_equal(view->n_parts, 2);
    snprintf(stage.state, sizeof stage.state, "%s", view->state);
    memcpy(stage.parts, view->parts, sizeof stage.parts);
}

static const char *state_of_stream(void)
{
    bide_error error = {0};
    if (bide_stream_see(stage.store, STREAM, see, NULL, &error) != BIDE_OK)
        fail_msg("%s", error.text);
    return stage.state;
}

static void expect_counts(size_t part, int64_t total, int64_t done, int64_t dead, int64_t dropped)
{
    state_of_stream();
    assert_int_equal(stage.parts[part].total, total);
    assert_int_equal(stage.parts[part].done, done);
    assert_int_equal(stage.parts[part].dead, dead);
    assert_int_equal(stage.parts[part].dropped, dropped);
}

/* Returns whether it is this one that tells of the end. */
static bool arrive(const char *queue, int64_t member, enum bide_stream_how how)
{
    struct bide_stream_names names;
    struct bide_store_operation operations[BIDE_STREAM_OPERATIONS];
    struct bide_store_letter letter = {.operations = operations, .n = BIDE_STREAM_OPERATIONS};
    bide_stream_names(STREAM, queue, &names);
    bide_stream_arrive(&names, member, how, 5000, operations);
    assert_int_equal(bide_store_apply(stage.store, &letter, 1, NULL), BIDE_OK);
    bool tells = bide_stream_reached_end(&operations[BIDE_STREAM_OPERATIONS - 1]);
    bide_store_letter_clear(&letter);
    return tells;
}

static void record(int64_t total)
{
    assert_int_equal(bide_stream_record(stage.store, &stage.info, NULL), BIDE_OK);
    if (total >= 0)
        assert_int_equal(bide_stream_record_total(stage.store, &stage.info, total, 0, 5000, NULL), BIDE_OK);
}

/* ---- ids ---- */

static void expect_role(const char *id, enum bide_stream_role role, int64_t member)
{
    char stream[BIDE_STREAM_ID_TEXT];
    int64_t found = -2;
    assert_int_equal(bide_stream_role(id, stream, &found), role);
    if (role == BIDE_STREAM_NONE)
        return;
    assert_true(bide_stream_may_be(id));
    assert_string_equal(stream, STREAM);
    assert_int_equal(found, member);
}

static void test_an_id_says_what_its_message_is_to_a_stream(void **state)
{
    static const char *const none[] = {"", "s", "stream-", "stream-1:1", STREAM, STREAM ":", STREAM ":0",
        STREAM ":-1", STREAM ":01", STREAM ":1x", STREAM ": 1", STREAM ":268435457", STREAM ":end@geo",
        "stream-0193f9c1-7a55-7c3e-9a10-1f2e3d4c5b6Z:1", "STREAM-0193f9c1-7a55-7c3e-9a10-1f2e3d4c5b6a:1"};
    (void)state;
    expect_role(STREAM ":1", BIDE_STREAM_MEMBER, 0);
    expect_role(STREAM ":268435456", BIDE_STREAM_MEMBER, 268435455);
    expect_role(STREAM ":deadline@geo", BIDE_STREAM_DEADLINE, BIDE_STORE_NO_MEMBER);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        expect_role(none[i], BIDE_STREAM_NONE, 0);
    assert_true(bide_stream_id_valid(STREAM));
    assert_false(bide_stream_id_valid(STREAM ":1"));
}

static void test_end_messages_are_named_by_their_subscription(void **state)
{
    char id[BIDE_STREAM_MESSAGE_ID];
    (void)state;
    bide_stream_message_id(STREAM, "end", "geo@logs", id);
    assert_string_equal(id, STREAM ":end@geo");
    bide_stream_message_id(STREAM, "deadline", "mail", id);
    assert_string_equal(id, STREAM ":deadline@mail");
}

static void test_what_the_store_has_that_cannot_be_read_is_refused(void **state)
{
    static const char *const bad[] = {"", "{", "[]", "{\"target\":\"a\"}",
        "{\"target\":\"a\",\"name\":\"b\"}", "{\"target\":\"a\",\"name\":\"b\",\"queues\":[]}",
        "{\"target\":\"a\",\"name\":\"b\",\"queues\":[1]}"};
    struct bide_stream_info info;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(
            bide_stream_info_read(STREAM, (struct bide_slice){bad[i], strlen(bad[i])}, &info, NULL),
            BIDE_E_DATA);
}

/* ---- a stream's life ---- */

static void test_a_stream_is_complete_when_each_member_has_ended_in_each_queue(void **state)
{
    (void)state;
    record(-1);
    assert_string_equal(state_of_stream(), "sending");
    assert_false(arrive("geo", 0, BIDE_STREAM_DONE));
    assert_false(arrive("geo", 1, BIDE_STREAM_DEAD));
    expect_counts(0, -1, 1, 1, 0);
    assert_int_equal(bide_stream_record_total(stage.store, &stage.info, 3, 0, 5000, NULL), BIDE_OK);
    assert_string_equal(state_of_stream(), "running");
    assert_true(arrive("geo", 2, BIDE_STREAM_DROPPED));
    expect_counts(0, 3, 1, 1, 1);
    assert_true(stage.parts[0].is_complete);
    assert_int_equal(stage.parts[0].took_ms, 4000);
    assert_string_equal(stage.state, "running");
    for (int64_t member = 0; member < 3; member++)
        assert_int_equal(arrive("errors", member, BIDE_STREAM_DONE), member == 2);
    assert_string_equal(state_of_stream(), "complete");
    expect_counts(1, 3, 3, 0, 0);
}

static void test_one_member_tells_of_the_end_however_often_members_come_again(void **state)
{
    (void)state;
    record(2);
    assert_false(arrive("geo", 1, BIDE_STREAM_DONE));
    assert_false(arrive("geo", 1, BIDE_STREAM_DONE));
    assert_true(arrive("geo", 0, BIDE_STREAM_DEAD));
    assert_true(arrive("geo", 0, BIDE_STREAM_DEAD)); /* its answer was lost */
    assert_false(arrive("geo", 1, BIDE_STREAM_DONE));
    assert_true(arrive("geo", 0, BIDE_STREAM_DONE)); /* replayed: it stays dead here */
    expect_counts(0, 2, 1, 1, 0);
}

static void test_an_empty_stream_is_complete(void **state)
{
    (void)state;
    record(0);
    assert_string_equal(state_of_stream(), "complete");
    expect_counts(0, 0, 0, 0, 0);
}

static void test_a_cancelled_stream_stays_so_and_still_learns_its_total(void **state)
{
    enum bide_stream_state found;
    (void)state;
    record(-1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(bide_stream_record_cancel(stage.store, STREAM, NULL), BIDE_OK);
    assert_int_equal(bide_stream_read_state(stage.store, STREAM, &found, NULL), BIDE_OK);
    assert_int_equal(found, BIDE_STREAM_CANCELLED);
    assert_int_equal(bide_stream_record_total(stage.store, &stage.info, 1, 0, 5000, NULL), BIDE_OK);
    assert_string_equal(state_of_stream(), "cancelling");
    assert_true(arrive("geo", 0, BIDE_STREAM_DROPPED));
    assert_true(arrive("errors", 0, BIDE_STREAM_DROPPED));
    assert_string_equal(state_of_stream(), "cancelled");
}

static void test_a_stream_fails_at_its_deadline_and_may_be_completed_later(void **state)
{
    (void)state;
    stage.info.deadline_ms = 0;
    record(1);
    assert_string_equal(state_of_stream(), "failed");
    arrive("geo", 0, BIDE_STREAM_DONE);
    arrive("errors", 0, BIDE_STREAM_DONE);
    assert_string_equal(state_of_stream(), "complete");
}

static void test_a_stream_that_the_store_does_not_have(void **state)
{
    enum bide_stream_state found;
    (void)state;
    assert_int_equal(bide_stream_see(stage.store, STREAM, see, NULL, NULL), BIDE_E_NOT_FOUND);
    assert_int_equal(bide_stream_see(stage.store, "x", see, NULL, NULL), BIDE_E_NOT_FOUND);
    assert_int_equal(bide_stream_record_cancel(stage.store, STREAM, NULL), BIDE_E_NOT_FOUND);
    assert_int_equal(bide_stream_read_state(stage.store, STREAM, &found, NULL), BIDE_OK);
    assert_int_equal(found, BIDE_STREAM_UNKNOWN);
    assert_int_equal(bide_stream_record_total(stage.store, &stage.info, 1, 0, 5000, NULL), BIDE_E_BROKER);
    assert_false(arrive("geo", 0, BIDE_STREAM_DONE)); /* leaves nothing behind */
    record(-1);
    expect_counts(0, -1, 0, 0, 0);
}

static void test_all_streams_are_listed(void **state)
{
    (void)state;
    assert_int_equal(bide_stream_see_all(stage.store, see, NULL, NULL), BIDE_OK);
    assert_int_equal(stage.n_seen, 0);
    record(1);
    assert_int_equal(bide_stream_see_all(stage.store, see, NULL, NULL), BIDE_OK);
    assert_int_equal(stage.n_seen, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(test_an_id_says_what_its_message_is_to_a_stream),
    CASE(test_end_messages_are_named_by_their_subscription),
    CASE(test_what_the_store_has_that_cannot_be_read_is_refused),
    CASE(test_a_stream_is_complete_when_each_member_has_ended_in_each_queue),
    CASE(test_one_member_tells_of_the_end_however_often_members_come_again),
    CASE(test_an_empty_stream_is_complete),
    CASE(test_a_cancelled_stream_stays_so_and_still_learns_its_total),
    CASE(test_a_stream_fails_at_its_deadline_and_may_be_completed_later),
    CASE(test_a_stream_that_the_store_does_not_have),
    CASE(test_all_streams_are_listed),
};

UNIT_MAIN(tests)
