/* console/access and config/listen: who may do what, and where to listen. */
#include "config/listen.h"
#include "console/access.h"
#include "unit/unit.h"

#define GOOD "Bearer secret"

static void test_judgement(void **state)
{
    static const struct {
        unsigned status;
        enum bide_right right;
        struct bide_access access; /* local, loopback, token, authorization, host, origin */
    } cases[] = {
        {0, BIDE_RIGHT_ACT, {true, false, NULL, NULL, NULL, "http://x"}},
        {0, BIDE_RIGHT_READ, {false, true, NULL, NULL, "localhost:1", NULL}},
        {0, BIDE_RIGHT_READ, {false, true, NULL, NULL, "127.1.2.3:1", NULL}},
        {0, BIDE_RIGHT_READ, {false, true, NULL, NULL, "[::1]:1", NULL}},
        {403, BIDE_RIGHT_READ, {false, true, NULL, NULL, "[::1]x", NULL}},
        {403, BIDE_RIGHT_READ, {false, true, NULL, NULL, "[", NULL}},
        {403, BIDE_RIGHT_READ, {false, true, NULL, NULL, NULL, NULL}},
        {403, BIDE_RIGHT_PUBLIC, {false, true, NULL, NULL, "127.0.0.1.evil.example", NULL}},
        {403, BIDE_RIGHT_PUBLIC, {false, true, NULL, NULL, "localhost.evil.example", NULL}},
        {403, BIDE_RIGHT_ACT, {false, true, NULL, GOOD, "localhost", NULL}},
        {0, BIDE_RIGHT_ACT, {false, true, "secret", GOOD, "localhost", NULL}},
        {0, BIDE_RIGHT_ACT, {false, true, "secret", "bearer secret", "localhost:9", "http://localhost:9"}},
        {403, BIDE_RIGHT_ACT, {false, true, "secret", GOOD, "localhost:9", "http://localhost:8"}},
        {403, BIDE_RIGHT_ACT, {false, true, "secret", GOOD, "localhost:9", "null"}},
        {401, BIDE_RIGHT_ACT, {false, true, "secret", NULL, "localhost", NULL}},
        {401, BIDE_RIGHT_ACT, {false, true, "secret", "Bearer ", "localhost", NULL}},
        {401, BIDE_RIGHT_ACT, {false, true, "secret", "Bearer secretsecret", "localhost", NULL}},
        {401, BIDE_RIGHT_ACT, {false, true, "secret", "Basic secret", "localhost", NULL}},
        {0, BIDE_RIGHT_PUBLIC, {false, false, "secret", NULL, "shop.example", NULL}},
        {401, BIDE_RIGHT_READ, {false, false, "secret", NULL, "shop.example", NULL}},
        {0, BIDE_RIGHT_READ, {false, false, "secret", GOOD, "shop.example", NULL}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *why = NULL;
        unsigned status = bide_access_judge(&cases[i].access, cases[i].right, &why);
        if (status != cases[i].status || (status != 0) != (why != NULL))
            fail_msg("case %zu: %u, not %u", i, status, cases[i].status);
    }
}

static void test_where_to_listen(void **state)
{
    static const struct {
        const char *text;
        bool taken, loopback;
    } cases[] = {{"127.0.0.1:9470", true, true}, {"localhost:1", true, true}, {"[::1]:9470", true, true},
        {"0.0.0.0:80", true, false}, {"[::]:80", true, false}, {"192.0.2.1:80", true, false},
        {"::1:9470", false, false}, {"9470", false, false}, {":9470", false, false},
        {"example.com:80", false, false}, {"127.0.0.1:", false, false}, {"127.0.0.1:http", false, false},
        {"127.0.0.1:123456", false, false}, {"127.0.0.1:65536", false, false},
        {"127.0.0.1:65535", true, true}, {"[]:1", false, false}, {"", false, false}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bide_listen listen = {0};
        bide_error error = {0};
        bide_code code = bide_listen_parse(cases[i].text, &listen, &error);
        if ((code == BIDE_OK) != cases[i].taken || listen.loopback != cases[i].loopback)
            fail_msg("'%s': %s", cases[i].text, code == BIDE_OK ? "taken" : error.text);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_judgement),
    cmocka_unit_test(test_where_to_listen),
};

UNIT_MAIN(tests)
