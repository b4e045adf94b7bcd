/* The growing buffer, UTF-8, and JSON strings and numbers. */
#include "unit/unit.h"

#include <math.h>

#include <jansson.h>

#include "base/buffer.h"
#include "base/json.h"
#include "base/utf8.h"

static void empty_is_text(void **state)
{
    (void)state;
    struct bide_buffer buffer;
    bide_buffer_init(&buffer);
    assert_string_equal(buffer.bytes, "");
    bide_buffer_clear(&buffer);
    bide_buffer_release(&buffer);
    assert_string_equal(buffer.bytes, "");
    char *taken = bide_buffer_take(&buffer);
    assert_string_equal(taken, "");
    bide_free(taken);
    bide_buffer_add(&buffer, NULL, 0);
    assert_string_equal(buffer.bytes, "");
    bide_buffer_format(&buffer, "%s", "");
    assert_int_equal(buffer.size, 0);
    bide_buffer_release(&buffer);
}

static void grows(void **state)
{
    (void)state;
    struct bide_buffer buffer;
    static char model[200000];
    size_t size = 0;
    uint64_t random = 3;
    bide_buffer_init(&buffer);
    while (size < sizeof model - 400) {
        char piece[300];
        size_t n = next_random(&random) % sizeof piece;
        memset(piece, (int)('a' + n % 26), n);
        if (n % 3 == 0)
            bide_buffer_format(&buffer, "%.*s", (int)n, piece);
        else
            bide_buffer_add(&buffer, piece, n);
        memcpy(model + size, piece, n);
        size += n;
        assert_int_equal(buffer.size, size);
        assert_int_equal(buffer.bytes[size], 0);
    }
    assert_memory_equal(buffer.bytes, model, size);
    char *to = bide_buffer_reserve(&buffer, 10);
    assert_ptr_equal(to, buffer.bytes + size);
    char *taken = bide_buffer_take(&buffer);
    assert_memory_equal(taken, model, size);
    assert_int_equal(buffer.size, 0);
    bide_free(taken);
}

static void too_much_fails_once_and_for_all(void **state)
{
    (void)state;
    struct bide_buffer buffer;
    bide_buffer_init(&buffer);
    bide_buffer_text(&buffer, "kept");
    assert_null(bide_buffer_reserve(&buffer, SIZE_MAX));
    assert_true(buffer.failed);
    bide_buffer_text(&buffer, "ignored");
    bide_buffer_char(&buffer, '!');
    bide_buffer_format(&buffer, "%d", 1);
    assert_string_equal(buffer.bytes, "kept");
    assert_null(bide_buffer_take(&buffer));
    assert_false(buffer.failed);
    bide_buffer_text(&buffer, "again");
    assert_string_equal(buffer.bytes, "again");
    bide_buffer_release(&buffer);
}

static bool build(void *user)
{
    struct bide_buffer buffer;
    (void)user;
    bide_buffer_init(&buffer);
    for (int i = 0; i < 500; i++)
        bide_buffer_format(&buffer, "%d,", i);
    bide_json_quote(&buffer, "\x01\"", 2);
    bool done = !buffer.failed;
    char *taken = bide_buffer_take(&buffer);
    assert_true(done == (taken != NULL));
    bide_free(taken);
    bide_buffer_release(&buffer);
    return done;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(build, NULL) > 5);
}

struct utf8_row {
    const char *bytes;
    size_t size, length;
};

static void utf8_forms(void **state)
{
    (void)state;
    static const struct utf8_row rows[] = {{"", 0, 0}, {"\0", 1, 1}, {"a", 1, 1}, {"\x7F", 1, 1},
        {"\x80", 1, 0}, {"\xC0\x80", 2, 0}, {"\xC1\xBF", 2, 0}, {"\xC2\x80", 2, 2}, {"\xC2\x80", 1, 0},
        {"\xC2\x20", 2, 0}, {"\xDF\xBF", 2, 2}, {"\xE0\x9F\xBF", 3, 0}, {"\xE0\xA0\x80", 3, 3},
        {"\xED\x9F\xBF", 3, 3}, {"\xED\xA0\x80", 3, 0}, {"\xEF\xBF\xBF", 3, 3}, {"\xEF\xBF", 2, 0},
        {"\xE1\x80\x20", 3, 0}, {"\xF0\x8F\xBF\xBF", 4, 0}, {"\xF0\x90\x80\x80", 4, 4},
        {"\xF4\x8F\xBF\xBF", 4, 4}, {"\xF4\x90\x80\x80", 4, 0}, {"\xF5\x80\x80\x80", 4, 0}, {"\xFF", 1, 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char copy[4]; /* so that a look behind the end is seen by the sanitizer */
        char *exact = memcpy(copy + sizeof copy - rows[i].size, rows[i].bytes, rows[i].size);
        assert_int_equal(bide_utf8_length(exact, rows[i].size), rows[i].length);
        assert_int_equal(bide_utf8_valid(exact, rows[i].size), rows[i].size == rows[i].length);
    }
}

/* Every code point through its encoding: valid are all but the surrogates. */
static void utf8_every_character(void **state)
{
    (void)state;
    for (uint32_t c = 0x80; c <= 0x10FFFF; c++) {
        char text[4];
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
        for (size_t i = n; i-- > 1;)
            text[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3F));
        text[0] = (char)(lead[n] | c >> 6 * (n - 1));
        size_t wanted = c >= 0xD800 && c <= 0xDFFF ? 0 : n;
        if (bide_utf8_length(text, n) != wanted)
            fail_msg("U+%04X", (unsigned)c);
    }
}

static void json_text(const char *text, size_t size, const char *wanted)
{
    struct bide_buffer buffer;
    bide_buffer_init(&buffer);
    bide_json_quote(&buffer, text, size);
    assert_string_equal(buffer.bytes, wanted);
    bide_buffer_release(&buffer);
}

static void json_strings(void **state)
{
    (void)state;
    json_text(NULL, 0, "null");
    json_text("", 0, "\"\"");
    json_text("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
    json_text("\b\f\n\r\t\x01\x1F\x7F", 8, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"");
    json_text("\xC2\x9B"
              "2J\xE2\x80\xAEx",
        8, "\"\\u009b2J\\u202ex\"");
    json_text("a\0b", 3, "\"a\\u0000b\"");
    json_text("\xC3\xA4\xFF\xE2\x82", 5, "\"\xC3\xA4\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

static void json_any_bytes_parse(void **state)
{
    (void)state;
    uint64_t random = 4;
    for (int i = 0; i < 20000; i++) {
        char text[40];
        size_t size = next_random(&random) % (sizeof text + 1);
        for (size_t j = 0; j < size; j++)
            text[j] = (char)(next_random(&random) >> (next_random(&random) % 8)); /* low bytes more often */
        struct bide_buffer buffer;
        bide_buffer_init(&buffer);
        bide_json_quote(&buffer, text, size);
        json_error_t error;
        json_t *value = json_loadb(buffer.bytes, buffer.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (!json_is_string(value))
            fail_msg("%s: %s", error.text, buffer.bytes);
        if (bide_utf8_valid(text, size)) {
            assert_int_equal(json_string_length(value), size);
            assert_memory_equal(json_string_value(value), text, size);
        }
        json_decref(value);
        bide_buffer_release(&buffer);
    }
}

static void json_numbers(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *wanted;
    } rows[] = {{0, "0"}, {1.5, "1.5"}, {-0.25, "-0.25"}, {1e300, "1e+300"}, {1e-7, "1e-07"}, {NAN, "null"},
        {INFINITY, "null"}, {-INFINITY, "null"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bide_buffer buffer;
        bide_buffer_init(&buffer);
        bide_json_digits(&buffer, rows[i].number);
        assert_string_equal(buffer.bytes, rows[i].wanted);
        bide_buffer_release(&buffer);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(empty_is_text),
    cmocka_unit_test(grows),
    cmocka_unit_test(too_much_fails_once_and_for_all),
    cmocka_unit_test(each_allocation_fails),
    cmocka_unit_test(utf8_forms),
    cmocka_unit_test(utf8_every_character),
    cmocka_unit_test(json_strings),
    cmocka_unit_test(json_any_bytes_parse),
    cmocka_unit_test(json_numbers),
};

UNIT_MAIN(tests)
