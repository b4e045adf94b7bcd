#include <string.h>

#include "contract_store/cases.h"

/* TURN, GET, CLOSE. */

enum { ABSENT = 1 << 0, OPEN = 1 << 1, DONE = 1 << 2 };

static void makes_changes_and_deletes(void **state)
{
    struct fixture *fixture = *state;
    assert_fact(fixture->store, "a", 0, NULL);
    const struct bide_store_answer *answer = apply(fixture->store, turn("a", ABSENT, 1, "one"));
    assert_true(answer->ok && answer->changed);
    assert_int_equal(answer->state, 0);
    assert_fact(fixture_other(fixture), "a", 1, "one");
    answer = apply(fixture->store, turn("a", OPEN | ABSENT, 2, "two"));
    assert_true(answer->ok && answer->changed);
    assert_int_equal(answer->state, 1);
    assert_fact(fixture->store, "a", 2, "two");
    assert_true(apply(fixture->store, turn("a", DONE, 0, ""))->changed);
    assert_fact(fixture_other(fixture), "a", 0, NULL);
}

static void refuses_another_state(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture->store, turn("a", ABSENT, 2, "mine"));
    const struct bide_store_answer *answer = apply(fixture->store, turn("a", ABSENT | OPEN, 2, "yours"));
    assert_false(answer->ok || answer->changed);
    assert_int_equal(answer->state, 2);
    assert_int_equal(answer->size, 4);
    assert_memory_equal(answer->data, "mine", 4);
    assert_between(answer->lasts_ms, 1, LONG_MS);
    assert_fact(fixture->store, "a", 2, "mine");
}

static void twice_is_success(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        const struct bide_store_answer *answer = apply(fixture->store, turn("a", ABSENT, 1, "token 1"));
        assert_true(answer->ok);
        assert_int_equal(answer->changed, i == 0);
    }
    for (int i = 0; i < 2; i++) {
        const struct bide_store_answer *answer = apply(fixture->store, turn("a", OPEN, 0, ""));
        assert_true(answer->ok);
        assert_int_equal(answer->changed, i == 0);
    }
    assert_fact(fixture->store, "a", 0, NULL);
}

static void compares_the_beginning_of_data(void **state)
{
    struct fixture *fixture = *state;
    struct bide_store_operation operation = turn("a", OPEN, 2, "8 x");
    apply(fixture->store, turn("a", ABSENT, 1, "7 rest"));
    operation.turn.expect = text("8 ");
    assert_false(apply(fixture->store, operation)->ok);
    operation.turn.expect = text("7 rest and more");
    assert_false(apply(fixture->store, operation)->ok);
    operation.turn.expect = text("7 ");
    assert_true(apply(fixture->store, operation)->changed);
    assert_fact(fixture->store, "a", 2, "8 x");
}

static void compare_never_finds_an_absent_fact(void **state)
{
    struct fixture *fixture = *state;
    struct bide_store_operation operation = turn("a", BIDE_STORE_ANY, 1, "x");
    operation.turn.expect = text("7 ");
    assert_false(apply(fixture->store, operation)->ok);
    assert_fact(fixture->store, "a", 0, NULL);
}

static void keeps_any_bytes(void **state)
{
    struct fixture *fixture = *state;
    static char bytes[BIDE_STORE_DATA_MAX];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 31 + i / 257);
    struct bide_store_operation operation = turn("a\xff\n\t\"'", ABSENT, 7, "");
    operation.turn.data = (struct bide_slice){bytes, sizeof bytes};
    assert_true(apply(fixture->store, operation)->changed);
    assert_true(apply(fixture->store, operation)->ok);
    const struct bide_store_answer *answer = apply(fixture_other(fixture), get("a\xff\n\t\"'"));
    assert_int_equal(answer->size, sizeof bytes);
    assert_memory_equal(answer->data, bytes, sizeof bytes);
}

static void after_lapse_it_is_absent(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture->store, lasting(turn("a", ABSENT, 1, "old"), BRIEF_MS));
    apply(fixture->store, turn("b", ABSENT, 1, "stays"));
    wait_until_lapsed(fixture->store, "scope", "a");
    assert_false(apply(fixture->store, turn("a", OPEN, 2, "new"))->ok);
    const struct bide_store_answer *answer = apply(fixture->store, turn("a", ABSENT, 3, "new"));
    assert_true(answer->changed);
    assert_int_equal(answer->state, 0);
    assert_fact(fixture->store, "a", 3, "new");
    assert_fact(fixture->store, "b", 1, "stays");
}

/* A second turn to the same state makes a fact last longer. */
static void turning_again_renews(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture->store, lasting(turn("a", ABSENT, 1, "x"), BRIEF_MS));
    apply(fixture->store, lasting(turn("a", ABSENT | OPEN, 1, "x"), LONG_MS));
    apply(fixture->store, lasting(turn("b", ABSENT, 1, "x"), BRIEF_MS));
    wait_until_lapsed(fixture->store, "scope", "b");
    assert_fact(fixture->store, "a", 1, "x");
}

static void without_a_time_it_needs_a_scope(void **state)
{
    struct fixture *fixture = *state;
    assert_false(apply(fixture->store, lasting(turn("a", ABSENT, 1, "x"), 0))->ok);
    assert_fact(fixture->store, "a", 0, NULL);
    assert_true(apply(fixture->store, close_scope(LONG_MS))->ok);
    assert_true(apply(fixture->store, lasting(turn("a", ABSENT, 1, "x"), 0))->changed);
    assert_fact(fixture_other(fixture), "a", 1, "x");
}

static void close_ends_all_of_a_scope(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture->store, close_scope(LONG_MS));
    apply(fixture->store, lasting(turn("with scope", ABSENT, 1, "x"), 0));
    apply(fixture->store, turn("of its own", ABSENT, 1, "x"));
    apply(fixture->store, arrive("set", 0, 1));
    apply(fixture->store, in_scope(turn("a", ABSENT, 1, "x"), "another"));
    apply(fixture->store, close_scope(0));
    apply(fixture->store, close_scope(0));
    assert_fact(fixture->store, "with scope", 0, NULL);
    assert_fact(fixture_other(fixture), "of its own", 0, NULL);
    assert_int_equal(apply(fixture->store, lasting(arrive("set", BIDE_STORE_NO_MEMBER, 0), 0))->count, 0);
    assert_true(apply(fixture->store, in_scope(get("a"), "another"))->ok);
}

static void a_scope_lapses_and_begins_anew(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture->store, close_scope(LONG_MS));
    apply(fixture->store, lasting(turn("a", ABSENT, 1, "x"), 0));
    apply(fixture->store, arrive("set", 5000, 0));
    apply(fixture->store, close_scope(BRIEF_MS));
    wait_until_lapsed(fixture->store, "scope", "a");
    apply(fixture->store, close_scope(LONG_MS));
    assert_fact(fixture->store, "a", 0, NULL);
    assert_int_equal(apply(fixture->store, arrive("set", 1, 0))->count, 1);
    assert_true(apply(fixture->store, lasting(turn("a", ABSENT, 2, "y"), 0))->changed);
    assert_fact(fixture_other(fixture), "a", 2, "y");
}

static void a_scope_lasts_as_long_as_its_facts(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture->store, lasting(turn("brief", ABSENT, 1, "x"), BRIEF_MS));
    apply(fixture->store, turn("long", ABSENT, 1, "x"));
    apply(fixture->store, lasting(turn("again", ABSENT, 1, "x"), BRIEF_MS));
    wait_until_lapsed(fixture->store, "scope", "again");
    struct deadline pause = deadline_in_ms(3 * BRIEF_MS);
    while (!deadline_passed(&pause))
        deadline_nap(&pause);
    assert_fact(fixture->store, "brief", 0, NULL);
    assert_fact(fixture->store, "long", 1, "x");
}

static void names_do_not_run_together(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture->store, in_scope(turn("c", ABSENT, 1, "1"), "a:b"));
    apply(fixture->store, in_scope(turn("b:c", ABSENT, 1, "2"), "a"));
    apply(fixture->store, in_scope(acquire("c", "h", 1), "a:b"));
    assert_true(apply(fixture->store, in_scope(acquire("b:c", "i", 1), "a"))->ok);
    const struct bide_store_answer *answer = apply(fixture->store, in_scope(get("c"), "a:b"));
    assert_int_equal(answer->size, 1);
    assert_memory_equal(answer->data, "1", 1);
    assert_false(apply(fixture->store, in_scope(get("C"), "a:b"))->ok);
}

static const struct CMUnitTest cases[] = {
    CASE("turn/makes-changes-and-deletes", makes_changes_and_deletes),
    CASE("turn/refuses-another-state", refuses_another_state),
    CASE("turn/twice-is-success", twice_is_success),
    CASE("turn/compares-the-beginning-of-data", compares_the_beginning_of_data),
    CASE("turn/compare-never-finds-an-absent-fact", compare_never_finds_an_absent_fact),
    CASE("turn/keeps-any-bytes", keeps_any_bytes),
    CASE("turn/after-lapse-it-is-absent", after_lapse_it_is_absent),
    CASE("turn/turning-again-renews", turning_again_renews),
    CASE("turn/without-a-time-it-needs-a-scope", without_a_time_it_needs_a_scope),
    CASE("close/ends-all-of-a-scope", close_ends_all_of_a_scope),
    CASE("close/a-scope-lapses-and-begins-anew", a_scope_lapses_and_begins_anew),
    CASE("close/a-scope-lasts-as-long-as-its-facts", a_scope_lasts_as_long_as_its_facts),
    CASE("turn/names-do-not-run-together", names_do_not_run_together),
};
CASE_GROUP(turn_cases, cases);
