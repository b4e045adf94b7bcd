/* message/failures.h: a history that stays short and readable, whatever went wrong. */
#include "unit/unit.h"

#include "message/failures.h"

static char *add(char *text, int attempt, const char *error)
{
    char *longer = bide_failures_add(text ? text : "",
        &(struct bide_failure){.attempt = attempt, .at_ms = 1000 * attempt, .error = error});
    bide_free(text);
    assert_non_null(longer);
    return longer;
}

static void test_oldest_first(void **state)
{
    (void)state;
    struct bide_failures failures;
    char *text = add(add(NULL, 1, "HTTP 503"), 2, "said \"no\"\n\x1e\\");
    bide_failures_read(&failures, text);
    assert_int_equal(failures.n, 2);
    assert_int_equal(failures.items[0].attempt, 1);
    assert_int_equal(failures.items[1].at_ms, 2000);
    assert_string_equal(failures.items[0].error, "HTTP 503");
    assert_string_equal(failures.items[1].error, "said \"no\"\n\x1e\\");
    assert_null(strpbrk(text, "\n\x1e"));
    bide_failures_release(&failures);
    bide_free(text);
}

static void test_the_newest_stay(void **state)
{
    (void)state;
    struct bide_failures failures;
    char *text = NULL;
    for (int i = 1; i <= 25; i++)
        text = add(text, i, "again");
    bide_failures_read(&failures, text);
    assert_int_equal(failures.n, BIDE_FAILURES_MAX);
    assert_int_equal(failures.items[0].attempt, 16);
    assert_int_equal(failures.items[BIDE_FAILURES_MAX - 1].attempt, 25);
    bide_failures_release(&failures);
    bide_free(text);
}

static void test_headline(void **state)
{
    static const struct {
        const char *error, *line;
    } rows[] = {{"", ""}, {"one", "one"}, {"Traceback:\n  File x\nKeyError: 'a'\n \n", "KeyError: 'a'"},
        {"\n\n", ""}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t size;
        const char *line = bide_failure_headline(rows[i].error, &size);
        assert_int_equal(size, strlen(rows[i].line));
        assert_memory_equal(line, rows[i].line, size);
    }
}

/* In headers, beside everything else. */
static void test_it_stays_short(void **state)
{
    (void)state;
    struct bide_failures failures;
    char wide[5000], *text = NULL;
    memset(wide, 1, sizeof wide - 1); /* six bytes each in JSON */
    wide[sizeof wide - 1] = '\0';
    for (int i = 1; i <= 12; i++) {
        text = add(text, i, wide);
        assert_true(strlen(text) <= 4000);
    }
    bide_failures_read(&failures, text);
    assert_between(failures.n, 1, 3);
    assert_int_equal(failures.items[failures.n - 1].attempt, 12);
    bide_failures_release(&failures);
    bide_free(text);
}

static void test_whole_characters(void **state)
{
    (void)state;
    struct bide_failures failures;
    char umlauts[601];
    for (size_t i = 0; i + 2 < sizeof umlauts; i += 2)
        memcpy(umlauts + i, "\xC3\xBC", 3);
    umlauts[598] = 'x'; /* the last 300 bytes begin within a character */
    umlauts[599] = '\0';
    char *text = add(add(NULL, 1, umlauts), 2, "bad \xff byte");
    bide_failures_read(&failures, text);
    assert_int_equal(failures.n, 2);
    assert_int_equal(strlen(failures.items[0].error), 299);
    bide_failures_release(&failures);
    bide_free(text);
}

static void test_what_is_no_history(void **state)
{
    (void)state;
    static const char *const others[] = {"", "no JSON", "{}", "[1,null,{\"attempt\":1}]",
        "[{\"attempt\":-1,\"error\":\"x\"},{\"attempt\":99999999999,\"error\":\"x\"},{\"error\":3}]"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct bide_buffer to;
        bide_buffer_init(&to);
        bide_failures_write(&to, others[i]);
        assert_string_equal(to.bytes, "[]");
        bide_buffer_release(&to);
        char *text =
            bide_failures_add(others[i], &(struct bide_failure){.attempt = 3, .at_ms = 4, .error = "e"});
        assert_string_equal(text, "[{\"attempt\":3,\"at_ms\":4,\"error\":\"e\"}]");
        bide_free(text);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_oldest_first),
    cmocka_unit_test(test_the_newest_stay),
    cmocka_unit_test(test_headline),
    cmocka_unit_test(test_it_stays_short),
    cmocka_unit_test(test_whole_characters),
    cmocka_unit_test(test_what_is_no_history),
};

UNIT_MAIN(tests)
