/* console/access and config/listen: who may do what, and where to listen. */
#include "config/listen.h"
#include "console/access.h"
#include "unit/unit.h"

#define GOOD "Bearer secret"
#define LOOKS "Bearer look"
#define SENDS "Bearer send"

static struct bide_http_config none,
    one = {.token = (char[]){"secret"}},
    all = {.token = (char[]){"secret"}, .read_token = (char[]){"look"}, .send_token = (char[]){"send"}},
    open = {.token = (char[]){"secret"}, .open_metrics = true}, reading = {.read_token = (char[]){"look"}};

struct judgement_case {
    unsigned status;
    enum bide_right right;
    struct bide_access access; /* local, loopback, http, authorization, host, origin, site */
};

static void judge(const struct judgement_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct bide_judgement judgement = bide_access_judge(&cases[i].access, cases[i].right);
        if (judgement.status != cases[i].status || (judgement.status != 0) != (judgement.why != NULL))
            fail_msg("case %zu: %u, not %u", i, judgement.status, cases[i].status);
    }
}

/* Without any token: a console on loopback. */
static void test_without_a_token(void **state)
{
    static const struct judgement_case cases[] = {
        {0, BIDE_RIGHT_OPERATE, {BIDE_DOOR_OWNER, false, &none, NULL, NULL, "http://x", "cross-site"}},
        {0, BIDE_RIGHT_READ, {BIDE_DOOR_TCP, true, &none, NULL, "localhost:1", NULL, NULL}},
        {0, BIDE_RIGHT_READ, {BIDE_DOOR_TCP, true, &none, NULL, "127.1.2.3:1", NULL, "same-origin"}},
        {0, BIDE_RIGHT_METRICS, {BIDE_DOOR_TCP, true, &none, NULL, "[::1]:1", NULL, "none"}},
        {403, BIDE_RIGHT_READ, {BIDE_DOOR_TCP, true, &none, NULL, "[::1]x", NULL, NULL}},
        {403, BIDE_RIGHT_READ, {BIDE_DOOR_TCP, true, &none, NULL, "[", NULL, NULL}},
        {403, BIDE_RIGHT_READ, {BIDE_DOOR_TCP, true, &none, NULL, NULL, NULL, NULL}},
        {403, BIDE_RIGHT_PUBLIC, {BIDE_DOOR_TCP, true, &none, NULL, "127.0.0.1.evil.example", NULL, NULL}},
        {403, BIDE_RIGHT_PUBLIC, {BIDE_DOOR_TCP, true, &none, NULL, "localhost.evil.example", NULL, NULL}},
        {403, BIDE_RIGHT_OPERATE, {BIDE_DOOR_TCP, true, &none, GOOD, "localhost", NULL, NULL}},
        {403, BIDE_RIGHT_SEND, {BIDE_DOOR_TCP, true, &none, NULL, "localhost", NULL, NULL}},
        {403, BIDE_RIGHT_READ,
            {BIDE_DOOR_TCP, true, &none, NULL, "localhost", NULL, "cross-site"}}, /* <img src=…> */
        {403, BIDE_RIGHT_READ, {BIDE_DOOR_TCP, true, &none, NULL, "localhost", NULL, "same-site"}},
        {0, BIDE_RIGHT_PUBLIC,
            {BIDE_DOOR_TCP, true, &none, NULL, "localhost", NULL, "cross-site"}}, /* a link */
    };
    (void)state;
    judge(cases, COUNT_OF(cases));
}

/* With one, reading needs it, too: loopback is shared by all users of a machine, and a proxy looks like it.
 */
static void test_with_a_token(void **state)
{
    static const struct judgement_case cases[] = {
        {0, BIDE_RIGHT_OPERATE, {BIDE_DOOR_TCP, true, &one, GOOD, "localhost", NULL, NULL}},
        {0, BIDE_RIGHT_OPERATE,
            {BIDE_DOOR_TCP, true, &one, "bearer secret", "localhost:9", "http://localhost:9", NULL}},
        {403, BIDE_RIGHT_OPERATE,
            {BIDE_DOOR_TCP, true, &one, GOOD, "localhost:9", "http://localhost:8", NULL}},
        {403, BIDE_RIGHT_OPERATE, {BIDE_DOOR_TCP, true, &one, GOOD, "localhost:9", "null", NULL}},
        {401, BIDE_RIGHT_OPERATE, {BIDE_DOOR_TCP, true, &one, NULL, "localhost", NULL, NULL}},
        {401, BIDE_RIGHT_OPERATE, {BIDE_DOOR_TCP, true, &one, "Bearer ", "localhost", NULL, NULL}},
        {401, BIDE_RIGHT_OPERATE,
            {BIDE_DOOR_TCP, true, &one, "Bearer secretsecret", "localhost", NULL, NULL}},
        {401, BIDE_RIGHT_OPERATE, {BIDE_DOOR_TCP, true, &one, "Basic secret", "localhost", NULL, NULL}},
        {401, BIDE_RIGHT_READ, {BIDE_DOOR_TCP, true, &one, NULL, "localhost", NULL, NULL}},
        {401, BIDE_RIGHT_METRICS, {BIDE_DOOR_TCP, true, &one, NULL, "localhost", NULL, NULL}},
        {0, BIDE_RIGHT_PUBLIC, {BIDE_DOOR_TCP, true, &one, NULL, "localhost", NULL, NULL}},
        {0, BIDE_RIGHT_PUBLIC, {BIDE_DOOR_TCP, false, &one, NULL, "shop.example", NULL, NULL}},
        {401, BIDE_RIGHT_READ, {BIDE_DOOR_TCP, false, &one, NULL, "shop.example", NULL, NULL}},
        {0, BIDE_RIGHT_READ, {BIDE_DOOR_TCP, false, &one, GOOD, "shop.example", NULL, NULL}},
        {0, BIDE_RIGHT_METRICS, {BIDE_DOOR_TCP, false, &open, NULL, "shop.example", NULL, NULL}},
        {401, BIDE_RIGHT_READ, {BIDE_DOOR_TCP, false, &open, NULL, "shop.example", NULL, NULL}},
        {401, BIDE_RIGHT_OPERATE, {BIDE_DOOR_TCP, true, &reading, GOOD, "localhost", NULL, NULL}},
        {403, BIDE_RIGHT_OPERATE, {BIDE_DOOR_TCP, true, &reading, LOOKS, "localhost", NULL, NULL}},
    };
    (void)state;
    judge(cases, COUNT_OF(cases));
}

static void test_roles(void **state)
{
    static const struct {
        const char *authorization;
        enum bide_role role;
        unsigned metrics, read, send, operate;
    } rows[] = {
        {LOOKS, BIDE_ROLE_READ, 0, 0, 403, 403},
        {SENDS, BIDE_ROLE_SEND, 403, 403, 0, 403},
        {GOOD, BIDE_ROLE_OPERATE, 0, 0, 0, 0},
        {"Bearer loo", BIDE_ROLE_NONE, 401, 401, 401, 401},
        {NULL, BIDE_ROLE_NONE, 401, 401, 401, 401},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct bide_access access = {
            false, false, &all, rows[i].authorization, "shop.example", NULL, NULL};
        const unsigned wanted[] = {rows[i].metrics, rows[i].read, rows[i].send, rows[i].operate};
        for (size_t right = 0; right < COUNT_OF(wanted); right++) {
            struct bide_judgement judgement = bide_access_judge(&access, BIDE_RIGHT_METRICS + right);
            assert_int_equal(judgement.status, wanted[right]);
            assert_int_equal(judgement.role, rows[i].role);
            assert_int_equal(judgement.guessed, wanted[right] == 401 && rows[i].authorization);
        }
    }
    assert_string_equal(bide_role_name(BIDE_ROLE_SEND), "send");
}

/* http.send_socket: sending, and nothing else, whatever is shown. */
static void test_the_socket_for_senders(void **state)
{
    static const struct judgement_case cases[] = {
        {0, BIDE_RIGHT_PUBLIC, {BIDE_DOOR_SENDERS, false, &none, NULL, NULL, NULL, NULL}},
        {0, BIDE_RIGHT_SEND, {BIDE_DOOR_SENDERS, false, &all, NULL, NULL, NULL, NULL}},
        {403, BIDE_RIGHT_METRICS, {BIDE_DOOR_SENDERS, false, &all, NULL, NULL, NULL, NULL}},
        {403, BIDE_RIGHT_READ, {BIDE_DOOR_SENDERS, false, &all, LOOKS, NULL, NULL, NULL}},
        {403, BIDE_RIGHT_OPERATE, {BIDE_DOOR_SENDERS, false, &all, GOOD, NULL, NULL, NULL}},
    };
    (void)state;
    judge(cases, COUNT_OF(cases));
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
    cmocka_unit_test(test_without_a_token),
    cmocka_unit_test(test_with_a_token),
    cmocka_unit_test(test_roles),
    cmocka_unit_test(test_the_socket_for_senders),
    cmocka_unit_test(test_where_to_listen),
};

UNIT_MAIN(tests)
