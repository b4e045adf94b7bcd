/* The JSON of `bide send --lines`: what becomes of good lines, and what each kind of mistake is told. */
#include "unit/unit.h"

#include <string.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "message/envelope.h"
#include "message/jsontext.h"

static struct bide_message *parse(const char *text)
{
    struct bide_message *message = NULL;
    bide_error error = {0};
    assert_ok(bide_envelope_parse(text, strlen(text), &message, &error), &error);
    return message;
}

static void test_every_key(void **state)
{
    (void)state;
    struct bide_message *message = parse(
        "{\"expires\":\"10m\",\"id\":\"o-1\",\"queue\":\"mail\",\"type\":\"receipt\",\"delay\":\"1.5s\","
        "\"headers\":{\"a\":\"1\",\"b\":\"\"},\"content_type\":\"text/x\",\"body\":\"h\\u00e9\\u0000!\"}");
    size_t size;
    assert_string_equal(bide_message_type(message), "receipt");
    assert_string_equal(bide_message_id(message), "o-1");
    assert_string_equal(bide_message_queue(message), "mail");
    assert_string_equal(bide_message_content_type(message), "text/x");
    assert_string_equal(bide_message_header(message, "a"), "1");
    assert_string_equal(bide_message_header(message, "b"), "");
    assert_int_equal(message->delay_ms, 1500);
    assert_int_equal(message->expires_after_ms, 600000);
    const char *body = bide_message_body(message, &size);
    assert_int_equal(size, 5);
    assert_memory_equal(body, "h\xC3\xA9\0!", 6);
    bide_message_destroy(message);
}

static void test_bodies(void **state)
{
    static const struct {
        const char *line, *body, *content_type;
    } rows[] = {
        {"{\"type\":\"a\"}", "", ""},
        {"{\"type\":\"a\",\"body\":\"\"}", "", ""},
        {"{\"type\":\"a\",\"body\":\"{ }\"}", "{ }", ""},
        {"{\"type\":\"a\",\"body\":{}}", "{}", "application/json"},
        {" { \"body\" : { \"x\" : [ 1.10 , \"a b\\\" }\" ] , \"y\":\tnull } , \"type\":\"a\" } ",
            "{\"x\":[1.10,\"a b\\\" }\"],\"y\":null}", "application/json"},
        {"{\"type\":\"a\",\"body\": [ ] }", "[]", "application/json"},
        {"{\"type\":\"a\",\"body\": -1.5e3 }", "-1.5e3", "application/json"},
        {"{\"type\":\"a\",\"body\":true}", "true", "application/json"},
        {"{\"type\":\"a\",\"body\":null}", "null", "application/json"},
        {"{\"type\":\"a\",\"body\":{\"n\":123456789012345678901234567890}}",
            "{\"n\":123456789012345678901234567890}", "application/json"},
        {"{\"type\":\"a\",\"b\\u006fdy\": { \"x\" : 1 } }", "{\"x\":1}", "application/json"},
        {"{\"type\":\"a\",\"headers\":{\"body\":\"no\"},\"body\":{\"body\":7}}", "{\"body\":7}",
            "application/json"},
        {"{\"type\":\"a\",\"body\":{\"x\":1},\"content_type\":\"text/y\"}", "{\"x\":1}", "text/y"},
        {"{\"type\":\"a\",\"body_base64\":\"aGk=\"}", "hi", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_message *message = parse(rows[i].line);
        assert_string_equal(bide_message_body(message, NULL), rows[i].body);
        assert_string_equal(bide_message_content_type(message), rows[i].content_type);
        bide_message_destroy(message);
    }
}

static void test_at(void **state)
{
    (void)state;
    struct bide_message *message = parse("{\"type\":\"a\",\"at\":\"2026-12-24T18:00:00Z\"}");
    assert_true(message->due_ms == INT64_C(1798135200000));
    bide_message_destroy(message);
    message = parse("{\"type\":\"a\",\"at\":\"1960-01-01T00:00:00Z\"}");
    assert_true(message->due_ms == 1);
    bide_message_destroy(message);
}

/* A long body is not shown to jansson: the line has to mean the same, whatever stands around it and in it. */
static void test_long_bodies(void **state)
{
#define LONG "0123456789012345678901234567890123456789"
    static const struct {
        const char *line, *body, *error; /* one of them NULL */
    } rows[] = {
        {"{\"type\":\"a\",\"body\":\"" LONG "\"}", LONG, NULL},
        {" { \"body\" : \"" LONG " {},:[]\" , \"type\" : \"a\" } ", LONG " {},:[]", NULL},
        {"{\"type\":\"a\",\"body\":\"" LONG "h\xC3\xA9\"}", LONG "h\xC3\xA9", NULL},
        {"{\"type\":\"a\",\"body\":\"" LONG "\\n\\\"\"}", LONG "\n\"", NULL},
        {"{\"headers\":{\"body\":\"" LONG "\"},\"type\":\"a\"}", "", NULL},
        {"{\"type\":\"a\",\"body\":\"" LONG "\",\"body\":\"" LONG "\"}", NULL, "duplicate object key"},
        {"{\"type\":\"a\",\"body\":\"" LONG "\",\"b\\u006fdy\":\"\"}", NULL, "duplicate object key"},
        {"{\"type\":\"a\",\"body\":\"" LONG "\" x}", NULL, "near 'x' (byte 63)"},
        {"{\"type\":\"a\",\"body\":\"" LONG "\"", NULL, "near end of file (byte 61)"},
        {"{\"type\":\"a\" \"body\":\"" LONG "\"}", NULL, "'}' expected"},
        {"{\"type\":\"a\",\"body\":\"" LONG "\xFF\"}", NULL, "not valid JSON"},
        {"{\"type\":\"a\",\"body\":\"" LONG "\t\"}", NULL, "not valid JSON"},
        {"{\"type\":\"a\",\"body\":\"" LONG "\",\"bdy\":1}", NULL, "unknown key 'bdy'"},
        {"[\"body\",\"" LONG "\"]", NULL, "must be a JSON object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_message *message = NULL;
        bide_error error = {.text = ""};
        bide_code code = bide_envelope_parse(rows[i].line, strlen(rows[i].line), &message, &error);
        if (rows[i].body)
            assert_string_equal(bide_message_body(message, NULL), rows[i].body);
        else if (code != BIDE_E_DATA || !strstr(error.text, rows[i].error))
            fail_msg("%s: '%s'", rows[i].line, error.text);
        bide_message_destroy(message);
    }
#undef LONG
}

static const struct {
    const char *line, *expected;
} bad_lines[] = {
    {"", "not valid JSON: '[' or '{' expected near end of file (byte 0)"},
    {"[]", "a line must be a JSON object: {\"type\": …}"},
    {"{\"type\":\"a\"", "not valid JSON: '}' expected near end of file (byte 11)"},
    {"{\"type\":\"a\"} x", "not valid JSON: end of file expected near 'x' (byte 14)"},
    {"{\"type\":\"a\",\"type\":\"b\"}", "not valid JSON: duplicate object key near '\"type\"' (byte 18)"},
    {"{}", "'type' is missing"}, {"{\"tpye\":\"a\"}", "unknown key 'tpye' (did you mean 'type'?)"},
    {"{\"type\":5}", "'type': must be a string"},
    {"{\"type\":\"a\\u0000b\"}", "'type': must not hold a zero character"},
    {"{\"type\":\"a b\"}", "'type': 'a b' is not a message type: letters, digits, '-', '_' and '.', not "
                           "beginning with a digit or a dot, at most 100 bytes"},
    {"{\"type\":\"a\",\"bdy\":1}", "unknown key 'bdy' (did you mean 'body'?)"},
    {"{\"type\":\"a\",\"colour\":1}", "unknown key 'colour'"},
    {"{\"type\":\"a\",\"body\":1,\"body_base64\":\"\"}", "both 'body' and 'body_base64': give one"},
    {"{\"type\":\"a\",\"delay\":\"1s\",\"at\":\"2026-12-24T18:00:00Z\"}", "both 'delay' and 'at': give one"},
    {"{\"type\":\"a\",\"body_base64\":\"aGk\"}", "'body_base64': is not base64 (RFC 4648, with padding)"},
    {"{\"type\":\"a\",\"delay\":90}", "'delay': must be a string"},
    {"{\"type\":\"a\",\"delay\":\"-1s\"}",
        "'delay': '-1s' is not a duration: write for example 250ms, 1.5s, 10m, 1h30m or 7d, at most 3650d"},
    {"{\"type\":\"a\",\"delay\":\"99999d\"}", "'delay': '99999d' is not a duration: write for example 250ms, "
                                              "1.5s, 10m, 1h30m or 7d, at most 3650d"},
    {"{\"type\":\"a\",\"at\":\"tomorrow\"}", "'at': 'tomorrow' is not an instant: write for example "
                                             "2026-12-24T18:00:00Z or 2026-12-24T19:00:00+01:00"},
    {"{\"type\":\"a\",\"id\":\"\"}", "'id': an id has 1 to 255 bytes, this one has 0"},
    {"{\"type\":\"a\",\"headers\":[]}", "'headers': must be an object of strings"},
    {"{\"type\":\"a\",\"headers\":{\"x\":1}}", "'headers': 'x': must be a string"},
    {"{\"type\":\"a\",\"headers\":{\"bide-due\":\"1\"}}",
        "'headers': header 'bide-due': names beginning with bide- are the framework's"},
    {"{\"type\":\"a\",\"body\":\"\xFF\"}", NULL}, /* jansson's words */
};

static void test_bad_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_lines / sizeof bad_lines[0]; i++) {
        struct bide_message *message = NULL;
        bide_error error = {0};
        const char *line = bad_lines[i].line;
        assert_int_equal(bide_envelope_parse(line, strlen(line), &message, &error), BIDE_E_DATA);
        assert_int_equal(error.code, BIDE_E_DATA);
        assert_null(message);
        if (bad_lines[i].expected)
            assert_string_equal(error.text, bad_lines[i].expected);
        assert_int_equal(bide_envelope_parse(line, strlen(line), &message, NULL), BIDE_E_DATA);
    }
}

/* jansson takes a zero byte after a number for nothing: the body would hold it, and be no JSON. */
static void test_zero_bytes(void **state)
{
    static const char lines[][32] = {"{\"type\":\"a\",\"body\":1\0}", "{\"type\":\"a\",\"body\":[1\0]}"};
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct bide_message *message = NULL;
        bide_error error = {0};
        size_t size = strlen(lines[i]) + 1 + strlen(lines[i] + strlen(lines[i]) + 1);
        assert_int_equal(bide_envelope_parse(lines[i], size, &message, &error), BIDE_E_DATA);
        assert_non_null(strstr(error.text, "not valid JSON: a zero byte (byte "));
        assert_null(message);
    }
}

static void test_no_memory(void **state)
{
    static const char line[] = "{\"type\":\"a\",\"id\":\"i\",\"queue\":\"q\",\"headers\":{\"x\":\"y\"},"
                               "\"body\":{\"x\":[1,2.5,true,null,\"abcdefgh\"]},\"delay\":\"1s\"}";
    (void)state;
    bide_code code = BIDE_E_NOMEM;
    for (size_t nth = 1; code != BIDE_OK; nth++) {
        struct bide_message *message = NULL;
        bide_error error = {0};
        struct alloc_count count = {.fail_at = nth};
        bide_alloc_set_hook(count_allocation, &count);
        code = bide_envelope_parse(line, strlen(line), &message, &error);
        bide_message_destroy(message);
        bide_alloc_set_hook(NULL, NULL);
        /* within jansson a lack of memory may look like a syntax error */
        if (code != BIDE_OK && strncmp(error.text, "not valid JSON", 14) != 0)
            assert_int_equal(code, BIDE_E_NOMEM);
        assert_true(nth <= 500);
    }
}

static void test_content(void **state)
{
    (void)state;
    struct bide_message *message = parse("{\"type\":\"a\",\"headers\":{\"k\":\"\\\"v\"},\"body\":{\"x\":1}}");
    struct bide_buffer text;
    bide_buffer_init(&text);
    bide_envelope_add_content(&text, message);
    assert_string_equal(text.bytes,
        "\"content_type\":\"application/json\",\"headers\":{\"k\":\"\\\"v\"},\"body\":\"{\\\"x\\\":1}\"");
    bide_buffer_clear(&text);
    assert_ok(bide_message_set_body(message, "\xFF\0\x01", 3, NULL), NULL);
    bide_envelope_add_content(&text, message);
    assert_non_null(strstr(text.bytes, ",\"body_base64\":\"/wAB\""));
    bide_buffer_release(&text);
    bide_message_destroy(message);
}

static void test_base64(void **state)
{
    static const char *const good[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}};
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Z===", "====", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9", "Zm9-"};
    (void)state;
    struct bide_buffer text;
    bide_buffer_init(&text);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        bide_buffer_clear(&text);
        bide_base64_encode(&text, good[i][0], strlen(good[i][0]));
        assert_string_equal(text.bytes, good[i][1]);
        bide_buffer_clear(&text);
        assert_true(bide_base64_decode(&text, good[i][1], strlen(good[i][1])));
        assert_string_equal(text.bytes, good[i][0]);
    }
    bide_buffer_clear(&text);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(bide_base64_decode(&text, bad[i], strlen(bad[i])));
        assert_int_equal(text.size, 0);
    }
    bide_buffer_release(&text);
}

/* Cutting stays within its bounds whatever the text is: every prefix of a line, in memory of exactly its
 * size. */
static void test_cut_text(void **state)
{
    static const char line[] = "{ \"a\" : [ { } , \"]\\\\\\\"\" ] , \"body\" : { \"x\" : \"\\\"\" } }";
    (void)state;
    for (size_t size = 0; size < sizeof line; size++) {
        struct bide_slice value = {NULL, 0};
        struct bide_buffer compact;
        char *copy = bide_malloc(size ? size : 1);
        memcpy(copy, line, size);
        bide_buffer_init(&compact);
        if (bide_json_member(copy, size, "body", &value))
            assert_true(value.bytes >= copy && value.bytes + value.size <= copy + size);
        bide_json_add_compact(&compact, copy, size);
        assert_true(compact.size <= size);
        bide_buffer_release(&compact);
        bide_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_long_bodies),
        cmocka_unit_test(test_at),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_zero_bytes),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_cut_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
