#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "broker/redis/entry.h"

/* Reads a writable copy that ends exactly where the text does, so that ASan sees a step too far. */
struct reading {
    struct bide_redis_wire wire;
    char *bytes;
};

static void read_text(struct reading *reading, const char *text, size_t size)
{
    reading->bytes = malloc(size + 1);
    assert_non_null(reading->bytes);
    memcpy(reading->bytes, text, size);
    reading->bytes[size] = '\0';
    bide_redis_wire_init(&reading->wire);
    bide_redis_wire_read(&reading->wire, reading->bytes, size);
}

#define READ(reading, text) read_text(reading, text, sizeof(text) - 1)

static struct bide_message *full_message(void)
{
    struct bide_message *message = NULL;
    assert_int_equal(bide_message_create("mail", &message, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_id(message, "id-1", NULL), BIDE_OK);
    assert_int_equal(bide_message_set_queue(message, "default", NULL), BIDE_OK);
    assert_int_equal(bide_message_set_content_type(message, "text/plain", NULL), BIDE_OK);
    assert_int_equal(bide_message_set_header(message, "X-Trace", "a\tb\\c\nd", NULL), BIDE_OK);
    assert_int_equal(bide_message_set_header(message, "empty", "", NULL), BIDE_OK);
    assert_int_equal(bide_message_set_body(message, "\n\nbody\0\n", 8, NULL), BIDE_OK);
    message->due_ms = 1734000000123;
    message->sent_ms = 1734000000000;
    message->expires_ms = 1734000009000;
    message->attempt = 3;
    return message;
}

static void all_fields_come_back(void **state)
{
    (void)state;
    struct bide_message *message = full_message();
    message->error = "line one\nline two\\";
    message->queue = "other";
    const struct bide_dead_letter letter = {message, BIDE_REASON_EXHAUSTED, 1734000001000};
    struct bide_buffer text;
    bide_buffer_init(&text);
    bide_redis_wire_write(&text, message, &letter);
    bide_buffer_add(&text, message->body, message->body_size);
    assert_false(text.failed);

    struct reading reading;
    read_text(&reading, text.bytes, text.size);
    assert_null(reading.wire.defect);
    assert_int_equal(reading.wire.reason, BIDE_REASON_EXHAUSTED);
    assert_int_equal(reading.wire.died_ms, 1734000001000);
    struct bide_message *copy = bide_message_from_parts(&reading.wire.parts);
    assert_string_equal(copy->id, "id-1");
    assert_string_equal(copy->type, "mail");
    assert_string_equal(copy->queue, "other");
    assert_string_equal(copy->content_type, "text/plain");
    assert_string_equal(copy->error, "line one\nline two\\");
    assert_string_equal(bide_message_header(copy, "X-Trace"), "a\tb\\c\nd");
    assert_string_equal(bide_message_header(copy, "empty"), "");
    assert_int_equal(copy->due_ms, 1734000000123);
    assert_int_equal(copy->sent_ms, 1734000000000);
    assert_int_equal(copy->expires_ms, 1734000009000);
    assert_int_equal(copy->attempt, 3);
    assert_int_equal(copy->body_size, 8);
    assert_memory_equal(copy->body, "\n\nbody\0\n", 8);
    bide_message_destroy(copy);
    bide_message_destroy(message);
    bide_buffer_release(&text);
    free(reading.bytes);
}

/* The scripts cut a message at its first empty line: no value may make one. */
static void no_value_makes_an_empty_line(void **state)
{
    (void)state;
    struct bide_message *message = full_message();
    message->error = "\n\nno\n\n";
    struct bide_buffer text;
    bide_buffer_init(&text);
    bide_redis_wire_write(&text, message, NULL);
    assert_ptr_equal(strstr(text.bytes, "\n\n"), text.bytes + text.size - 2);
    bide_message_destroy(message);
    bide_buffer_release(&text);
}

static void what_is_malformed_is_said(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "id 1",
        "id 1\ntype t\n",
        "nonsense\n\nbody",
        "due soon\n\n",
        "due -5\n\n",
        "due 99999999999999999999\n\n",
        "attempt 0\n\n",
        "h no-tab\n\n",
        "reason because\n\n",
        "died x\n\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct reading reading;
        read_text(&reading, texts[i], strlen(texts[i]));
        if (!reading.wire.defect)
            fail_msg("no defect seen in \"%s\"", texts[i]);
        free(reading.bytes);
    }
}

static void what_can_be_read_is_read_despite_a_defect(void **state)
{
    (void)state;
    struct reading reading;
    READ(&reading, "id 7\ndue x\ntype t\n\nbody");
    assert_non_null(reading.wire.defect);
    assert_string_equal(reading.wire.parts.id.bytes, "7");
    assert_string_equal(reading.wire.parts.type.bytes, "t");
    assert_int_equal(reading.wire.parts.body.size, 4);
    free(reading.bytes);
}

static void keys_of_later_versions_are_passed_over(void **state)
{
    (void)state;
    struct reading reading;
    READ(&reading, "id 7\npriority 9\n\n");
    assert_null(reading.wire.defect);
    assert_string_equal(reading.wire.parts.id.bytes, "7");
    assert_int_equal(reading.wire.parts.body.size, 0);
    free(reading.bytes);
}

static void too_many_headers_are_a_defect(void **state)
{
    (void)state;
    struct bide_buffer text;
    bide_buffer_init(&text);
    for (int i = 0; i <= BIDE_HEADERS_MAX; i++)
        bide_buffer_format(&text, "h n%d\tv\n", i);
    bide_buffer_char(&text, '\n');
    struct reading reading;
    read_text(&reading, text.bytes, text.size);
    assert_non_null(reading.wire.defect);
    assert_int_equal(reading.wire.parts.n_headers, BIDE_HEADERS_MAX);
    bide_buffer_release(&text);
    free(reading.bytes);
}

static void headers_too_large_together_are_a_defect(void **state)
{
    (void)state;
    enum { N = BIDE_HEADERS_BYTES / BIDE_HEADER_MAX };
    for (int more = 0; more <= 1; more++) {
        struct bide_buffer text;
        bide_buffer_init(&text);
        for (int i = 0; i < N; i++)
            bide_buffer_format(&text, "h n%02d\t%0*d\n", i, BIDE_HEADER_MAX - 3 + (more && i == 0), 7);
        bide_buffer_char(&text, '\n');
        struct reading reading;
        read_text(&reading, text.bytes, text.size);
        assert_int_equal(reading.wire.defect != NULL, more);
        assert_int_equal(reading.wire.parts.n_headers, N - more);
        bide_buffer_release(&text);
        free(reading.bytes);
    }
}

/* Found by fuzz_redis_wire: the name of a key was read beyond its end. */
static void a_key_with_a_nul_is_another_key(void **state)
{
    (void)state;
    struct reading reading;
    READ(&reading, "id\0 and so on, longer than the table's names are a\n\nbody");
    assert_null(reading.wire.defect);
    assert_int_equal(reading.wire.parts.id.size, 0);
    free(reading.bytes);
    READ(&reading, "type\0\0\0\0\0\0\0\0 x\n\n");
    assert_int_equal(reading.wire.parts.type.size, 0);
    free(reading.bytes);
}

static void completed(struct reading *reading, const char *text, size_t size, int64_t now_ms)
{
    read_text(reading, text, size);
    bide_redis_wire_complete(&reading->wire, "default", "1-0", now_ms);
}

#define COMPLETED(reading, text, now_ms) completed(reading, text, sizeof(text) - 1, now_ms)

static void absurd_times_and_ids(void **state)
{
    (void)state;
    struct reading reading;
    const int64_t now_ms = 1790000000000;
    COMPLETED(&reading, "id \0x\ndue 4000000000000\n\n", now_ms);
    assert_string_equal(reading.wire.parts.id.bytes, "1-0");
    assert_non_null(strstr(reading.wire.defect, "3650 days"));
    assert_int_equal(reading.wire.parts.due_ms, now_ms);
    free(reading.bytes);
    COMPLETED(&reading, "due 9223372036854775\n\n", now_ms); /* microseconds would overflow with one more */
    assert_non_null(strstr(reading.wire.defect, "3650 days"));
    free(reading.bytes);
    COMPLETED(&reading, "due 9223372036854776\n\n", now_ms);
    assert_non_null(strstr(reading.wire.defect, "out of range"));
    free(reading.bytes);
}

/* The first reply in these bytes. */
static redisReply *reply_of(const char *bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_non_null(reader);
    assert_int_equal(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    redisReaderFree(reader);
    assert_non_null(reply);
    return reply;
}

static void replies_of_another_shape_are_passed_over(void **state)
{
    (void)state;
    static const char *const none[] = {
        "$-1\r\n", "*1\r\n$3\r\n1-0\r\n", "*2\r\n:5\r\n*0\r\n", "*2\r\n$-1\r\n*0\r\n"};
    struct bide_redis_wire wire;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        redisReply *entry = reply_of(none[i]);
        assert_false(bide_redis_entry_read(&wire, entry, NULL));
        freeReplyObject(entry);
    }
    redisReply *entry =
        reply_of("*2\r\n$22\r\n18446744073709551615-1\r\n*4\r\n$-1\r\n:1\r\n$4\r\nbody\r\n$-1\r\n");
    assert_true(bide_redis_entry_read(&wire, entry, NULL));
    assert_int_equal(wire.parts.sent_ms, 0); /* an id somebody chose says nothing about when */
    freeReplyObject(entry);
}

static void tokens_of_another_shape_are_passed_over(void **state)
{
    (void)state;
    struct bide_redis_wire wire;
    static const struct {
        const char *reply;
        int64_t due_ms; /* -1: passed over */
    } rows[] = {
        {"*3\r\n$1\r\n7\r\n$3\r\ninf\r\n$1\r\n\n\r\n", BIDE_REDIS_LATEST_MS},
        {"*3\r\n$1\r\n7\r\n$4\r\n-inf\r\n$1\r\n\n\r\n", 0},
        {"*3\r\n$1\r\n7\r\n$3\r\nnan\r\n$1\r\n\n\r\n", 0},
        {"*3\r\n$1\r\n7\r\n$2\r\n12\r\n$-1\r\n", -1},
        {"*3\r\n$-1\r\n$2\r\n12\r\n$1\r\n\n\r\n", -1},
        {"*3\r\n$1\r\n7\r\n:12\r\n$1\r\n\n\r\n", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        redisReply *three = reply_of(rows[i].reply);
        bool read = bide_redis_held_read(&wire, three->element[0], three->element[1], three->element[2]);
        assert_int_equal(read ? wire.parts.due_ms : -1, rows[i].due_ms);
        freeReplyObject(three);
    }
}

static void plain_fields_of_foreign_producers(void **state)
{
    (void)state;
    char type[] = "mail", body[] = "hello", due[] = "1734000000000", trace[] = "abc";
    struct bide_redis_wire wire;
    bide_redis_wire_init(&wire);
    bide_redis_wire_field(&wire, "type", type, 4);
    bide_redis_wire_field(&wire, "body", body, 5);
    bide_redis_wire_field(&wire, "due", due, 13);
    bide_redis_wire_field(&wire, "X-Trace", trace, 3);
    assert_null(wire.defect);
    assert_string_equal(wire.parts.type.bytes, "mail");
    assert_int_equal(wire.parts.body.size, 5);
    assert_int_equal(wire.parts.due_ms, 1734000000000);
    assert_int_equal(wire.parts.n_headers, 1);
    assert_string_equal(wire.headers[0].name, "X-Trace");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fields_come_back),
        cmocka_unit_test(no_value_makes_an_empty_line),
        cmocka_unit_test(what_is_malformed_is_said),
        cmocka_unit_test(what_can_be_read_is_read_despite_a_defect),
        cmocka_unit_test(keys_of_later_versions_are_passed_over),
        cmocka_unit_test(too_many_headers_are_a_defect),
        cmocka_unit_test(headers_too_large_together_are_a_defect),
        cmocka_unit_test(a_key_with_a_nul_is_another_key),
        cmocka_unit_test(absurd_times_and_ids),
        cmocka_unit_test(replies_of_another_shape_are_passed_over),
        cmocka_unit_test(tokens_of_another_shape_are_passed_over),
        cmocka_unit_test(plain_fields_of_foreign_producers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
