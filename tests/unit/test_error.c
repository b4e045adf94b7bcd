/* Errors, and the "did you mean" that many of them end with. */
#include "unit/unit.h"

#include "base/suggest.h"
#include "base/utf8.h"
#include "bide/error.h"

static void fills_and_returns(void **state)
{
    (void)state;
    bide_error error;
    assert_int_equal(bide_fail(&error, BIDE_E_DATA, "%s: %d", "a", 7), BIDE_E_DATA);
    assert_int_equal(error.code, BIDE_E_DATA);
    assert_string_equal(error.text, "a: 7");
    assert_int_equal(bide_fail(NULL, BIDE_E_NOMEM, "nobody reads this"), BIDE_E_NOMEM);
}

static void own_text_as_argument(void **state)
{
    (void)state;
    bide_error error;
    bide_fail(&error, BIDE_E_DATA, "inner");
    bide_fail(&error, BIDE_E_BROKER, "outer (%s) %s", error.text, error.text);
    assert_string_equal(error.text, "outer (inner) inner");
}

static void one_line_without_escapes(void **state)
{
    (void)state;
    bide_error error;
    bide_fail(&error, BIDE_E_DATA, "a\nb\rc\td\033[2Je\x7F");
    assert_string_equal(error.text, "a b c d [2Je ");
    bide_fail_within(&error, "x\n\033y");
    assert_string_equal(error.text, "x  y: a b c d [2Je ");
}

static void cut_between_characters(void **state)
{
    (void)state;
    static const char *const characters[] = {"\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t i = 0; i < COUNT_OF(characters); i++)
        for (int shift = 0; shift < 4; shift++) {
            char text[1000];
            size_t used = (size_t)shift, size = strlen(characters[i]);
            memset(text, 'x', used);
            for (; used < 600; used += size)
                memcpy(text + used, characters[i], size);
            text[used] = '\0';
            bide_error error;
            bide_fail(&error, BIDE_E_DATA, "%s", text);
            assert_true(bide_utf8_valid(error.text, strlen(error.text)));
            assert_true(strlen(error.text) > BIDE_ERROR_SIZE - 5);
            bide_fail_within(&error, "%.*s", shift, "abc");
            assert_true(bide_utf8_valid(error.text, strlen(error.text)));
        }
    bide_error error;
    char latin[1000];
    memset(latin, '\xBF', sizeof latin); /* not UTF-8 anyway: must end somewhere */
    latin[sizeof latin - 1] = '\0';
    bide_fail(&error, BIDE_E_DATA, "%s", latin);
    assert_int_equal(strlen(error.text), BIDE_ERROR_SIZE - 1);
}

static void within(void **state)
{
    (void)state;
    bide_error error;
    char prefix[BIDE_ERROR_SIZE + 10];
    memset(prefix, 'p', sizeof prefix - 1);
    prefix[sizeof prefix - 1] = '\0';
    assert_int_equal(bide_fail_within(NULL, "x"), BIDE_E_INTERNAL);
    bide_fail(&error, BIDE_E_CONFIG, "no such key");
    assert_int_equal(bide_fail_within(&error, "%s:%d", "bide.conf", 12), BIDE_E_CONFIG);
    assert_string_equal(error.text, "bide.conf:12: no such key");
    assert_int_equal(bide_fail_within(&error, "%s", prefix), BIDE_E_CONFIG);
    assert_int_equal(strlen(error.text), BIDE_ERROR_SIZE - 1);
}

static void the_table(void **state)
{
    (void)state;
    assert_int_equal(bide_code_exit(BIDE_OK), 0);
    assert_int_equal(bide_code_exit(BIDE_E_USAGE), 64);
    assert_int_equal(bide_code_exit(BIDE_E_NOT_FOUND), 65);
    assert_int_equal(bide_code_exit(BIDE_E_TIMEOUT), 69);
    assert_int_equal(bide_code_exit(BIDE_E_CONFIG), 78);
    assert_string_equal(bide_code_name(BIDE_E_DATA), "BIDE_E_DATA");
    assert_string_equal(bide_code_name((bide_code)1000), "BIDE_E_INTERNAL");
    assert_string_equal(bide_code_name((bide_code)-1), "BIDE_E_INTERNAL");
    assert_string_equal(bide_code_meaning(BIDE_E_NOMEM), "out of memory");
}

static void suggestions(void **state)
{
    (void)state;
    static const char *const known[] = {"threads", "timeout", "order", "ab", NULL};
    static const struct {
        const char *given, *text;
    } rows[] = {
        {"thread", " (did you mean 'threads'?)"},
        {"htreads", " (did you mean 'threads'?)"},
        {"timeuot", " (did you mean 'timeout'?)"},
        {"ordre", " (did you mean 'order'?)"},
        {"threads", " (did you mean 'threads'?)"},
        {"thrad", " (did you mean 'threads'?)"},
        {"trad", ""},
        {"xy", ""}, /* two edits away from "ab", which has no more letters than that */
        {"", ""},
        {"entirely different", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[BIDE_SUGGEST_TEXT];
        assert_ptr_equal(bide_suggest(rows[i].given, known, text), text);
        assert_string_equal(text, rows[i].text);
    }
}

static void suggestions_of_long_names(void **state)
{
    (void)state;
    char longest[65], longer[200], text[BIDE_SUGGEST_TEXT];
    memset(longest, 'a', sizeof longest);
    longest[64] = '\0';
    memset(longer, 'a', sizeof longer);
    longer[199] = '\0';
    const char *const known[] = {longest, longer, NULL};
    assert_int_equal(strlen(bide_suggest(longest + 1, known, text)), 64 + strlen(" (did you mean ''?)"));
    assert_string_equal(bide_suggest(longer, known, text), "");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(fills_and_returns),
    cmocka_unit_test(own_text_as_argument),
    cmocka_unit_test(one_line_without_escapes),
    cmocka_unit_test(cut_between_characters),
    cmocka_unit_test(within),
    cmocka_unit_test(the_table),
    cmocka_unit_test(suggestions),
    cmocka_unit_test(suggestions_of_long_names),
};

UNIT_MAIN(tests)
