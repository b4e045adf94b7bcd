/* message/trace: what counts as a traceparent, and what a handler's messages are given of it. */
#include "message/trace.h"

#include <string.h>

#include "unit/unit.h"

#define ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"
#define GOOD "00-" ID "-" SPAN "-01"

static bide_message *message_with(const char *traceparent)
{
    bide_message *message;
    assert_int_equal(bide_message_create("t", &message, NULL), BIDE_OK);
    if (traceparent)
        assert_int_equal(bide_message_set_header(message, "traceparent", traceparent, NULL), BIDE_OK);
    return message;
}

static void check_id(const char *traceparent, const char *wanted)
{
    char id[BIDE_TRACE_ID_TEXT] = "?";
    bide_message *message = message_with(traceparent);
    assert_int_equal(bide_trace_id(message, id), *wanted != '\0');
    assert_string_equal(id, wanted);
    assert_int_equal(BIDE_TRACE(message).kind, *wanted ? BIDE_LOG_STR : BIDE_LOG_END);
    bide_message_destroy(message);
}

static void test_what_counts(void **state)
{
    (void)state;
    check_id(GOOD, ID);
    check_id("00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-00", ID);
    check_id("cc-" ID "-" SPAN "-01", ID);
    check_id("cc-" ID "-" SPAN "-01-more", ID);
    static const char *const bad[] = {NULL, "", "x", "ff-" ID "-" SPAN "-01", GOOD "-more", GOOD "0",
        "cc-" ID "-" SPAN "-01more", "00-" ID "-" SPAN "-0", "00-" ID "-" SPAN "-0g",
        "00-00000000000000000000000000000000-" SPAN "-01", "00-" ID "-0000000000000000-01",
        "00-" ID "0" SPAN "-01", "zz-" ID "-" SPAN "-01"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_id(bad[i], "");
}

static void test_passed_on(void **state)
{
    (void)state;
    bide_message *from = message_with("cc-" ID "-" SPAN "-01-more"), *to = message_with(NULL);
    assert_int_equal(bide_message_set_header(from, "tracestate", "a=b", NULL), BIDE_OK);
    bide_trace_pass_on(from, to);
    const char *text = bide_message_header(to, "traceparent");
    assert_non_null(text);
    assert_int_equal(strlen(text), strlen(GOOD));
    assert_memory_equal(text, "00-" ID "-", 36);
    assert_memory_not_equal(text + 36, SPAN, 16);
    assert_string_equal(text + 52, "-01");
    assert_string_equal(bide_message_header(to, "tracestate"), "a=b");
    bide_message *other = message_with(NULL);
    bide_trace_pass_on(from, other);
    assert_string_not_equal(bide_message_header(other, "traceparent"), text);
    bide_message_destroy(other);
    bide_message_destroy(from);
    bide_message_destroy(to);
}

static void test_left_alone(void **state)
{
    (void)state;
    bide_message *from = message_with(GOOD), *bad = message_with("none");
    bide_message *own = message_with("mine"), *to = message_with(NULL);
    bide_trace_pass_on(from, own);
    assert_string_equal(bide_message_header(own, "traceparent"), "mine");
    bide_trace_pass_on(bad, to);
    assert_int_equal(bide_message_header_count(to), 0);
    for (int i = 0; i < BIDE_HEADERS_MAX; i++) { /* no room: sent without */
        char name[16];
        snprintf(name, sizeof name, "h%d", i);
        assert_int_equal(bide_message_set_header(to, name, "", NULL), BIDE_OK);
    }
    bide_trace_pass_on(from, to);
    assert_null(bide_message_header(to, "traceparent"));
    bide_message_destroy(from);
    bide_message_destroy(bad);
    bide_message_destroy(own);
    bide_message_destroy(to);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_counts),
    cmocka_unit_test(test_passed_on),
    cmocka_unit_test(test_left_alone),
};

UNIT_MAIN(tests)
