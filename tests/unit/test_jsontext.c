/* JSON text that is looked at without being parsed: members, strings that stand for themselves. */
#include "unit/unit.h"

#include <string.h>

#include "message/jsontext.h"

enum { LONGEST = 40 };

/* A quoted string of `size` letters, one of them replaced. */
static size_t quoted(char *to, size_t size, size_t where, char letter)
{
    to[0] = to[size + 1] = '"';
    memset(to + 1, 'x', size);
    if (where < size)
        to[1 + where] = letter;
    return size + 2;
}

/* At every place of every length: eight bytes are judged at a time, and what is left over. */
static void plain_but_for_one(void **state)
{
    static const struct {
        char letter;
        bool plain;
    } rows[] = {{' ', true}, {'!', true}, {'~', true}, {0x7F, true}, {0, false}, {1, false}, {0x1F, false},
        {'"', false}, {'\\', false}, {(char)0x80, false}, {(char)0xC3, false}, {(char)0xFF, false}};
    char text[LONGEST + 2];
    (void)state;
    for (size_t size = 0; size <= LONGEST; size++)
        for (size_t where = 0; where < size; where++)
            for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                size_t n = quoted(text, size, where, rows[i].letter);
                if (bide_json_plain_string(text, n) != rows[i].plain)
                    fail_msg("0x%02x at %zu of %zu", (unsigned char)rows[i].letter, where, size);
            }
}

static void plain_as_a_whole(void **state)
{
    static const char umlauts[] = "\"grüße, 12345 ßßßß\"";
    (void)state;
    assert_true(bide_json_plain_string("\"\"", 2));
    assert_true(bide_json_plain_string(umlauts, sizeof umlauts - 1));
    assert_false(bide_json_plain_string("\"", 1));
    assert_false(bide_json_plain_string("", 0));
    assert_false(bide_json_plain_string("\"x", 2));
    assert_false(bide_json_plain_string("x\"", 2));
}

static void members(void **state)
{
    static const struct {
        const char *text, *value; /* NULL: none is found */
    } rows[] = {
        {"{\"body\":1}", "1"},
        {"{ \"a\" : \"x\\\"y\" , \"body\" : {\"q\":[1,\"}\"]} }", "{\"q\":[1,\"}\"]}"},
        {"{\"a\":\"\\\\\",\"body\":\"b\\\\\"}", "\"b\\\\\""},
        {"{\"a\":\"\\\"body\\\":5\",\"body\":6}", "6"},
        {"{\"\\u0062ody\":1}", NULL},
        {"{\"a\":\"never ended\\\"", NULL},
        {"{\"a\":\"never ended\\", NULL},
        {"{\"a", NULL},
        {"{}", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_slice value = {"", 0};
        bool found = bide_json_member(rows[i].text, strlen(rows[i].text), "body", &value);
        assert_int_equal(found, rows[i].value != NULL);
        if (found &&
            (value.size != strlen(rows[i].value) || memcmp(value.bytes, rows[i].value, value.size) != 0))
            fail_msg("%s gave %.*s", rows[i].text, (int)value.size, value.bytes);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(plain_but_for_one),
    cmocka_unit_test(plain_as_a_whole),
    cmocka_unit_test(members),
};

UNIT_MAIN(tests)
