#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract_store/cases.h"

/* Scanning, upkeep and verify. */

enum { FACTS = 300 };

struct seen {
    int times[FACTS];
    int others;
};

static void note(void *user, const struct bide_store_fact *fact)
{
    struct seen *seen = user;
    int number = strncmp(fact->key, "k:", 2) == 0 ? atoi(fact->key + 2) : -1;
    char data[16];
    snprintf(data, sizeof data, "data %d", number);
    if (number < 0 || number >= FACTS || fact->state != 3 || fact->data.size != strlen(data) ||
        memcmp(fact->data.bytes, data, fact->data.size) != 0 || fact->lasts_ms <= 0)
        seen->others++;
    else
        seen->times[number]++;
}

static void make_facts(struct fixture *fixture)
{
    char key[16], data[16];
    for (int i = 0; i < FACTS; i++) {
        snprintf(key, sizeof key, "k:%d", i);
        snprintf(data, sizeof data, "data %d", i);
        apply(fixture->store, turn(key, 1, 3, data));
    }
    apply(fixture->store, turn("j", 1, 1, "x"));
    apply(fixture->store, turn("l", 1, 1, "x"));
    apply(fixture->store, arrive("k:set", 1, 3));
    apply(fixture->store, acquire("k:permit", "x", 3));
    apply(fixture->store, in_scope(turn("k:1", 1, 1, "x"), "another"));
}

static void shows_each_fact_with_the_prefix(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    struct bide_store_cursor cursor = {0};
    bide_error error;
    make_facts(fixture);
    for (int pages = 0; !cursor.done; pages++) {
        assert_true(pages < FACTS);
        assert_ok(bide_store_scan(fixture->store, "scope", "k:", 20, &cursor, note, &seen, &error), &error);
    }
    assert_int_equal(seen.others, 0);
    for (int i = 0; i < FACTS; i++)
        assert_int_equal(seen.times[i], 1);
}

static void count(void *user, const struct bide_store_fact *fact)
{
    (void)fact;
    ++*(int *)user;
}

static int count_facts(struct fixture *fixture, const char *scope, const char *prefix)
{
    struct bide_store_cursor cursor = {0};
    bide_error error;
    int n = 0;
    while (!cursor.done)
        assert_ok(bide_store_scan(fixture->store, scope, prefix, 20, &cursor, count, &n, &error), &error);
    return n;
}

static void leaves_out_what_has_lapsed(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(count_facts(fixture, "scope", ""), 0);
    apply(fixture->store, lasting(turn("a", 1, 1, "x"), BRIEF_MS));
    apply(fixture->store, turn("b", 1, 1, "x"));
    apply(fixture->store, turn("b", 2, 2, "*[?\\"));
    wait_until_lapsed(fixture->store, "scope", "a");
    assert_int_equal(count_facts(fixture, "scope", ""), 1);
    assert_int_equal(count_facts(fixture, "scope", "b"), 1);
    assert_int_equal(count_facts(fixture, "scope", "*"), 0);
    assert_int_equal(count_facts(fixture, "none", ""), 0);
}

static void upkeep_leaves_what_lasts(void **state)
{
    struct fixture *fixture = *state;
    int64_t wait_ms = 0;
    bide_error error;
    apply(fixture->store, lasting(turn("a", 1, 1, "x"), BRIEF_MS));
    apply(fixture->store, turn("b", 1, 1, "x"));
    wait_until_lapsed(fixture->store, "scope", "a");
    for (int i = 0; i < 3; i++) {
        assert_ok(bide_store_tend(fixture->store, &wait_ms, &error), &error);
        assert_between(wait_ms, 1, 3600 * 1000);
    }
    assert_fact(fixture->store, "b", 1, "x");
}

static void no_errors(void *user, const struct bide_finding *finding)
{
    if (finding->severity == BIDE_FINDING_ERROR)
        fprintf(stderr, "%s: %s\n", finding->subject, finding->text);
    ((int *)user)[finding->severity == BIDE_FINDING_ERROR]++;
}

static void verify_finds_nothing_wrong(void **state)
{
    struct fixture *fixture = *state;
    int found[2] = {0};
    bide_error error;
    assert_ok(bide_store_verify(fixture->store, no_errors, found, &error), &error);
    apply(fixture->store, turn("a", 1, 1, "x"));
    assert_ok(bide_store_verify(fixture->store, no_errors, found, &error), &error);
    assert_true(found[0] >= 2);
    assert_int_equal(found[1], 0);
    assert_fact(fixture->store, "a", 1, "x");
}

static const struct CMUnitTest cases[] = {
    CASE("scan/shows-each-fact-with-the-prefix", shows_each_fact_with_the_prefix),
    CASE("scan/leaves-out-what-has-lapsed", leaves_out_what_has_lapsed),
    CASE("tend/leaves-what-lasts", upkeep_leaves_what_lasts),
    CASE("verify/finds-nothing-wrong", verify_finds_nothing_wrong),
};
CASE_GROUP(scan_cases, cases);
