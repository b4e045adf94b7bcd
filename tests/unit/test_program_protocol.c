/* dispatch/program/protocol: what bide says to a program, and what is understood of its answers. */
#include "unit/unit.h"

#include "dispatch/program/protocol.h"
#include "message/message.h"
#include "support/fake_clock.h"

static void test_run_line(void **state)
{
    (void)state;
    bide_message *message;
    struct bide_buffer line;
    bide_error error;
    assert_ok(bide_message_create("thumb", &message, &error), &error);
    assert_ok(bide_message_set_id(message, "a\"b", &error), &error);
    assert_ok(bide_message_set_queue(message, "default", &error), &error);
    assert_ok(bide_message_set_header(message, "x", "y\n", &error), &error);
    assert_ok(bide_message_set_body(message, "line\n", 5, &error), &error);
    message->attempt = 2;
    message->due_ms = 7;
    bide_buffer_init(&line);
    bide_program_say_run(&line, 17, 0, message, 25, 30000);
    assert_string_equal(line.bytes,
        "{\"run\":17,\"id\":\"a\\\"b\",\"type\":\"thumb\",\"queue\":\"default\",\"attempt\":2,\"attempts\":"
        "25,"
        "\"due_ms\":7,\"sent_ms\":0,\"timeout_ms\":30000,\"content_type\":\"\",\"headers\":{\"x\":\"y\\n\"},"
        "\"body\":\"line\\n\"}\n");
    bide_buffer_clear(&line);
    assert_ok(bide_message_set_body(message, "\xff", 1, &error), &error);
    bide_program_say_run(&line, 18, 3, message, 1, 0);
    assert_int_equal(strncmp(line.bytes, "{\"run\":18,\"batch\":3,\"id\":", 25), 0);
    assert_null(strstr(line.bytes, "timeout_ms"));
    assert_non_null(strstr(line.bytes, "\"body_base64\":\"/w==\"}\n"));
    bide_buffer_release(&line);
    bide_message_destroy(message);
}

static void test_other_lines(void **state)
{
    (void)state;
    struct bide_buffer line;
    bide_buffer_init(&line);
    bide_program_say_greeting(&line, "tasks", 10, 4096);
    bide_program_say_cancel(&line, 17);
    bide_program_say_leave(&line);
    assert_string_equal(line.bytes,
        "{\"bide\":1,\"program\":\"tasks\",\"concurrency\":10,\"max_line\":4096}\n"
        "{\"cancel\":17}\n{\"leave\":true}\n");
    bide_buffer_release(&line);
}

static struct bide_program_said read_line(const char *line)
{
    struct bide_program_said said;
    bide_program_read(&said, line, strlen(line));
    return said;
}

static void test_answers(void **state)
{
    (void)state;
    struct bide_program_said said = read_line(
        "{\"bide\":1,\"types\":[\"a\",\"b\"],\"concurrency\":50,\"sdk\":\"python 0.1.0\",\"new\":{}}");
    assert_int_equal(said.kind, BIDE_SAID_HELLO);
    assert_int_equal(json_array_size(said.types), 2);
    assert_int_equal(said.concurrency, 50);
    assert_string_equal(said.text, "python 0.1.0");
    bide_program_said_release(&said);
    said = read_line("{\"run\":17,\"retry\":\"soon\",\"after_ms\":1500,\"trace\":\"at x\\nat y\"}");
    assert_int_equal(said.kind, BIDE_SAID_RETRY);
    assert_int_equal(said.run, 17);
    assert_int_equal(said.after_ms, 1500);
    assert_string_equal(said.text, "soon");
    assert_string_equal(said.trace, "at x\nat y");
    bide_program_said_release(&said);
    said = read_line("{\"run\":18,\"log\":\"warn\",\"text\":\"low\",\"fields\":{\"n\":1}}");
    assert_int_equal(said.kind, BIDE_SAID_LOG);
    assert_int_equal(said.level, BIDE_LOG_WARN);
    bide_program_said_release(&said);
}

static void test_kinds(void **state)
{
    static const struct {
        const char *line;
        enum bide_program_kind kind;
    } rows[] = {
        {"{\"run\":1,\"done\":{}}", BIDE_SAID_DONE},
        {"{\"run\":1,\"done\":{\"result\":[1]}}", BIDE_SAID_DONE},
        {"{\"run\":1,\"done\":{\"result\":\"a\\u0000b\"}}", BIDE_SAID_DONE},
        {"{\"run\":1,\"dead\":\"x\"}", BIDE_SAID_DEAD},
        {"{\"run\":1,\"send\":{\"type\":\"a\"}}", BIDE_SAID_SEND},
        {"{\"run\":1,\"progress\":[1,2]}", BIDE_SAID_PROGRESS},
        {"{\"log\":\"info\",\"text\":\"of the program\"}", BIDE_SAID_LOG},
        {"{\"run\":1}", BIDE_SAID_OTHER},
        {"{}", BIDE_SAID_OTHER},
        {"{\"future\":[]}", BIDE_SAID_OTHER},
        {"", BIDE_SAID_NONSENSE},
        {"hello", BIDE_SAID_NONSENSE},
        {"[]", BIDE_SAID_NONSENSE},
        {"{\"done\":{}}", BIDE_SAID_NONSENSE},
        {"{\"run\":1,\"done\":true}", BIDE_SAID_NONSENSE},
        {"{\"run\":0,\"done\":{}}", BIDE_SAID_NONSENSE},
        {"{\"run\":-1,\"done\":{}}", BIDE_SAID_NONSENSE},
        {"{\"run\":\"1\",\"done\":{}}", BIDE_SAID_NONSENSE},
        {"{\"run\":1.5,\"done\":{}}", BIDE_SAID_NONSENSE},
        {"{\"run\":1,\"retry\":5}", BIDE_SAID_NONSENSE},
        {"{\"run\":1,\"retry\":\"x\",\"after_ms\":-5}", BIDE_SAID_NONSENSE},
        {"{\"run\":1,\"retry\":\"x\",\"after_ms\":\"1s\"}", BIDE_SAID_NONSENSE},
        {"{\"run\":1,\"send\":\"a\"}", BIDE_SAID_NONSENSE},
        {"{\"log\":\"info\"}", BIDE_SAID_NONSENSE},
        {"{\"bide\":2,\"types\":[]}", BIDE_SAID_NONSENSE},
        {"{\"bide\":1}", BIDE_SAID_NONSENSE},
        {"{\"bide\":1,\"types\":[],\"concurrency\":0}", BIDE_SAID_NONSENSE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bide_program_said said = read_line(rows[i].line);
        if (said.kind != rows[i].kind || (said.kind == BIDE_SAID_NONSENSE && !said.text))
            fail_msg("%s: kind %d", rows[i].line, (int)said.kind);
        bide_program_said_release(&said);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_run_line),
    cmocka_unit_test(test_other_lines),
    cmocka_unit_test(test_answers),
    cmocka_unit_test(test_kinds),
};

UNIT_MAIN(tests)
