#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract_store/cases.h"

/* What a Redis server does to a store. The server is the suite's own (--server DIR of
 * tests/support/server-redis). */

/* Runs server-redis with a command for this server. */
static void server(struct fixture *fixture, const char *format, ...)
{
    char arguments[600], command[900];
    va_list list;
    va_start(list, format);
    vsnprintf(arguments, sizeof arguments, format, list);
    va_end(list);
    char *space = strchr(arguments, ' ');
    int verb = (int)(space ? space - arguments : (long)strlen(arguments));
    snprintf(command, sizeof command, "tests/support/server-redis %.*s '%s'%s >/dev/null", verb, arguments,
        fixture->server, space ? space : "");
    assert_int_equal(system(command), 0);
}

static void write_and_read(struct fixture *fixture, const char *key)
{
    assert_true(apply(fixture->store, turn(key, 1, 1, "x"))->changed);
    assert_fact(fixture->store, key, 1, "x");
}

static void ignore_fact(void *user, const struct bide_store_fact *fact)
{
    (void)user;
    (void)fact;
}

static void a_script_is_lost(void **state)
{
    struct fixture *fixture = *state;
    write_and_read(fixture, "a");
    server(fixture, "cli SCRIPT FLUSH");
    write_and_read(fixture, "b");
}

static void connections_are_cut(void **state)
{
    struct fixture *fixture = *state;
    write_and_read(fixture, "a");
    server(fixture, "cli CLIENT KILL TYPE normal SKIPME yes");
    write_and_read(fixture, "b");
}

/* The call fails and says why, within its time; then it works again. */
static void assert_fails(struct fixture *fixture, const char *key, const char *says)
{
    struct bide_store_operation operations[2] = {turn(key, 1, 1, "x"), get(key)};
    struct bide_store_letter letter = {.operations = operations, .n = 2};
    bide_error error = {0};
    assert_int_equal(bide_store_apply(fixture->store, &letter, 1, &error), BIDE_E_BROKER);
    assert_int_equal(letter.code, BIDE_E_BROKER);
    if (!strstr(error.text, says))
        fail_msg("%s: does not say '%s'", error.text, says);
    letter_forget(operations, 2);
}

static void the_server_is_full(void **state)
{
    struct fixture *fixture = *state;
    write_and_read(fixture, "a");
    server(fixture, "cli CONFIG SET maxmemory 1");
    assert_fails(fixture, "b", "maxmemory");
    assert_fact(fixture->store, "a", 1, "x"); /* looking goes on */
    server(fixture, "cli CONFIG SET maxmemory 0");
    write_and_read(fixture, "b");
}

static void the_server_is_a_replica(void **state)
{
    struct fixture *fixture = *state;
    write_and_read(fixture, "a");
    server(fixture, "cli REPLICAOF 127.0.0.1 1");
    assert_fails(fixture, "b", "replica");
    server(fixture, "cli REPLICAOF NO ONE");
    write_and_read(fixture, "b");
}

static void the_server_is_away(void **state)
{
    struct fixture *fixture = *state;
    write_and_read(fixture, "a");
    server(fixture, "stop");
    assert_fails(fixture, "b", "");
    server(fixture, "restart");
    write_and_read(fixture, "b");
}

/* As after a failover to a replica that lacks the last writes. */
static void the_server_comes_back_without_its_last_writes(void **state)
{
    struct fixture *fixture = *state;
    write_and_read(fixture, "a");
    server(fixture, "cli SAVE");
    write_and_read(fixture, "b");
    apply(fixture->store, arrive("set", 0, 2));
    server(fixture, "kill");
    server(fixture, "restart");
    assert_fact(fixture->store, "a", 1, "x");
    assert_fact(fixture->store, "b", 0, NULL);
    assert_int_equal(apply(fixture->store, arrive("set", 1, 2))->count, 1);
    write_and_read(fixture, "b");
}

/* After a restart all heartbeats have run out; living holders get the time to come back. */
static void holders_survive_a_restart(void **state)
{
    struct fixture *fixture = *state;
    int64_t wait_ms;
    bide_error error;
    assert_true(apply(fixture->store, acquire("k", "a", 1))->ok);
    server(fixture, "cli SAVE");
    server(fixture, "stop");
    for (struct deadline away = deadline_in_ms(3500); !deadline_passed(&away);)
        deadline_nap(&away);
    server(fixture, "restart");
    struct deadline deadline = deadline_in_ms(1500);
    while (!deadline_passed(&deadline)) {
        assert_false(apply(fixture_other(fixture), acquire("k", "b", 1))->ok);
        deadline_nap(&deadline);
    }
    assert_ok(bide_store_tend(fixture->store, &wait_ms, &error), &error);
    assert_false(apply(fixture_other(fixture), acquire("k", "b", 1))->ok);
}

/* What a person may have done to the keys: nothing that is read is believed. */
static void fields_are_spoilt_by_hand(void **state)
{
    struct fixture *fixture = *state;
    const char *name_space = fixture->name_space;
    struct bide_store_cursor cursor = {0};
    bide_error error;
    write_and_read(fixture, "a");
    apply(fixture->store, arrive("set", 1, 3));
    apply(fixture->store, acquire("k", "x", 2));
    apply(fixture->store, acquire("k", "v", 2));
    apply(fixture->store, release("k", "v"));
    server(fixture, "cli SET '{%s}:permits:5:scope:j' x", name_space);
    server(fixture, "cli HSET '{%s}:facts:scope' fa 9x fb '' fc '1 ' fd 1e5 tset x b0:set ''", name_space);
    server(fixture, "cli HSET '{%s}:permits:5:scope:k' x x y '' z '1 1'", name_space);
    server(fixture, "cli ZADD '{%s}:ends:scope' 1 nobody 1 ''", name_space);
    assert_fact(fixture->store, "a", 0, NULL);
    assert_fact(fixture->store, "c", 1, "");
    assert_true(apply(fixture->store, arrive("set", 1, 3))->changed);
    assert_true(apply(fixture->store, acquire("k", "w", 1))->ok);
    assert_false(apply(fixture->store, release("k", "x"))->changed);
    assert_false(apply(fixture->store, release("j", "x"))->changed);
    assert_true(apply(fixture->store, acquire("j", "x", 1))->ok);
    assert_ok(bide_store_scan(fixture->store, "scope", "", 10, &cursor, ignore_fact, NULL, &error), &error);
    write_and_read(fixture, "a");
    server(fixture, "cli SET '{%s}:facts:wrong' x", name_space);
    struct bide_store_operation operation = in_scope(turn("a", 1, 1, "x"), "wrong");
    struct bide_store_letter letter = {.operations = &operation, .n = 1};
    assert_int_equal(bide_store_apply(fixture->store, &letter, 1, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "belongs to something else"));
}

/* The rules of docs/store.md are enough. */
static void the_documented_rules_are_enough(void **state)
{
    struct fixture *fixture = *state;
    char rules[1024] = "", url[128];
    bide_error error;
    FILE *page = fopen("docs/store.md", "r");
    assert_non_null(page);
    while (fgets(rules, sizeof rules, page) && !strstr(rules, "user bide-store "))
        continue;
    fclose(page);
    char *begin = strstr(rules, " on >PASSWORD ");
    assert_non_null(begin);
    rules[strcspn(rules, "\n")] = '\0';
    char setting[1200] = "";
    for (char *at = begin; *at;) { /* {bide} becomes this case's namespace, and each rule is quoted */
        size_t size = strcspn(at, " ");
        char *tag = strstr(at, "{bide}");
        if (tag && tag < at + size)
            snprintf(setting + strlen(setting), sizeof setting - strlen(setting), " '%.*s{%s}%.*s'",
                (int)(tag - at), at, fixture->name_space, (int)(at + size - tag - 6), tag + 6);
        else if (size)
            snprintf(setting + strlen(setting), sizeof setting - strlen(setting), " '%.*s'", (int)size, at);
        at += size + (at[size] == ' ');
    }
    server(fixture, "cli ACL SETUSER bide-store %s", setting);
    snprintf(url, sizeof url, "redis://bide-store:PASSWORD@%s:%d/0", fixture->url.hosts[0].name,
        fixture->url.hosts[0].port);
    bide_url_clear(&fixture->url);
    assert_ok(bide_url_parse(url, &fixture->url, &error), &error);
    fixture->other = NULL;
    struct bide_store *store = fixture_other(fixture);
    struct bide_store_operation operations[] = {turn("a", 1, 1, "x"), lasting(turn("b", 1, 1, "x"), 1),
        arrive("set", 0, 1), meter("m", 1, 1, 0), acquire("k", "a", 1), acquire("k", "b", 1),
        release("k", "a"), get("a"), turn("a", 2, 0, ""), lasting(turn("c", 1, 1, "x"), 0),
        lasting(turn("a", 3, 1, "x"), 0), close_scope(LONG_MS), close_scope(0)};
    enum { N = sizeof operations / sizeof operations[0] };
    for (int again = 0; again < 2; again++) {
        apply_all(store, operations, N);
        letter_forget(operations, N);
    }
    struct bide_store_cursor cursor = {0};
    int64_t wait_ms;
    assert_ok(bide_store_scan(store, "scope", "", 10, &cursor, ignore_fact, NULL, &error), &error);
    assert_ok(bide_store_tend(store, &wait_ms, &error), &error);
}

static const struct CMUnitTest cases[] = {
    CASE("fault/a-script-is-lost", a_script_is_lost),
    CASE("fault/connections-are-cut", connections_are_cut),
    CASE("fault/the-server-is-full", the_server_is_full),
    CASE("fault/the-server-is-a-replica", the_server_is_a_replica),
    CASE("fault/the-server-is-away", the_server_is_away),
    CASE(
        "fault/the-server-comes-back-without-its-last-writes", the_server_comes_back_without_its_last_writes),
    CASE("fault/holders-survive-a-restart", holders_survive_a_restart),
    CASE("fault/fields-are-spoilt-by-hand", fields_are_spoilt_by_hand),
    CASE("fault/the-documented-rules-are-enough", the_documented_rules_are_enough),
};
CASE_GROUP(redis_fault_cases, cases);
