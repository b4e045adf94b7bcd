/* Names of types, queues and namespaces. */
#include "unit/unit.h"

#include <regex.h>

#include "message/message.h"

static void rules(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool as_name, as_namespace, as_queue;
    } rows[] = {
        {"", false, false, false},
        {"a", true, true, true},
        {"Mail-out_2", true, true, true},
        {"-a", true, true, true},
        {"_", true, true, true},
        {"a.b", true, false, true},
        {".a", false, false, false},
        {"1a", false, false, false},
        {"a b", false, false, false},
        {"a\n", false, false, false},
        {"a*", false, false, false},
        {"a#", false, false, false},
        {"a/b", false, false, false},
        {"\xC3\xA4", false, false, false},
        {"unrouted", true, true, false},
        {"unrouted2", true, true, true},
        {"hold.5s", true, false, false},
        {"hold.", true, false, false},
        {"hold", true, true, true},
        {"holder.x", true, false, true},
        {"a.landing", true, false, false},
        {"a.later", true, false, false},
        {"a.dead", true, false, false},
        {"a.dead.b", true, false, true},
        {"dead", true, true, true},
        {"landing", true, true, true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (bide_name_valid(rows[i].name) != rows[i].as_name ||
            bide_namespace_valid(rows[i].name) != rows[i].as_namespace ||
            bide_queue_name_valid(rows[i].name) != rows[i].as_queue)
            fail_msg("'%s'", rows[i].name);
    }
}

static void lengths(void **state)
{
    (void)state;
    char name[BIDE_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[BIDE_NAME_MAX + 1] = '\0';
    assert_false(bide_name_valid(name));
    assert_false(bide_queue_name_valid(name));
    name[BIDE_NAME_MAX] = '\0';
    assert_true(bide_name_valid(name));
    assert_true(bide_namespace_valid(name));
    assert_true(bide_queue_name_valid(name));
}

static void as_the_expression_says(void **state)
{
    (void)state;
    regex_t expression;
    uint64_t random = 8;
    int taken = 0;
    assert_int_equal(regcomp(&expression, "^[A-Za-z_-][A-Za-z0-9_.-]{0,99}$", REG_EXTENDED | REG_NOSUB), 0);
    for (int i = 0; i < 50000; i++) {
        static const char letters[] = "abzAZ019-_.@[`{/: \x7F\x80";
        char name[8];
        size_t size = next_random(&random) % sizeof name;
        for (size_t j = 0; j < size; j++)
            name[j] = letters[next_random(&random) % (sizeof letters - 1)];
        name[size] = '\0';
        bool wanted = regexec(&expression, name, 0, NULL, 0) == 0;
        if (bide_name_valid(name) != wanted)
            fail_msg("'%s'", name);
        taken += wanted;
    }
    regfree(&expression);
    assert_true(taken > 1000);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(rules),
    cmocka_unit_test(lengths),
    cmocka_unit_test(as_the_expression_says),
};

UNIT_MAIN(tests)
