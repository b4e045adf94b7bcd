#include <unistd.h>

#include "contract_store/cases.h"

/* ARRIVE. */

static void is_complete_with_all_members(void **state)
{
    struct fixture *fixture = *state;
    for (int64_t i = 0; i < 10; i++)
        for (int again = 0; again < 2; again++) {
            const struct bide_store_answer *answer = apply(fixture->store, arrive("set", i * 7 % 10, 10));
            assert_int_equal(answer->count, i + 1);
            assert_int_equal(answer->changed, again == 0);
            assert_int_equal(answer->ok, i == 9);
            assert_int_equal(answer->first, i == 9 && again == 0);
        }
}

static void total_may_come_last(void **state)
{
    struct fixture *fixture = *state;
    assert_false(apply(fixture->store, arrive("set", 0, 0))->ok);
    assert_false(apply(fixture->store, arrive("set", 1, 0))->ok);
    const struct bide_store_answer *answer = apply(fixture->store, arrive("set", BIDE_STORE_NO_MEMBER, 2));
    assert_true(answer->ok && answer->first);
    assert_false(answer->changed);
    answer = apply(fixture->store, arrive("set", BIDE_STORE_NO_MEMBER, 2));
    assert_true(answer->ok && !answer->first);
    answer = apply(fixture->store, arrive("set", 1, 0));
    assert_true(answer->ok && !answer->first);
    assert_int_equal(answer->total, 2);
}

static void total_may_come_first(void **state)
{
    struct fixture *fixture = *state;
    assert_false(apply(fixture->store, arrive("set", BIDE_STORE_NO_MEMBER, 1))->ok);
    assert_int_equal(apply(fixture->store, arrive("set", BIDE_STORE_NO_MEMBER, 7))->total, 1);
    assert_true(apply(fixture->store, arrive("set", 0, 0))->first);
}

static void members_lie_on_many_pages(void **state)
{
    static const int64_t members[] = {
        0, 7, 8, 4095, 4096, 4097, 8191, 8192, 99999, 1000000, BIDE_STORE_MEMBERS_MAX - 1};
    enum { N = sizeof members / sizeof members[0] };
    struct fixture *fixture = *state;
    for (int again = 0; again < 2; again++)
        for (int i = N - 1; i >= 0; i--) {
            const struct bide_store_answer *answer = apply(fixture->store, arrive("set", members[i], N));
            assert_int_equal(answer->count, again ? N : N - i);
            assert_int_equal(answer->changed, again == 0);
        }
    assert_true(apply(fixture_other(fixture), arrive("set", 4096, 0))->ok);
}

static void members_of_another_set_are_kept_out(void **state)
{
    static const int64_t members[] = {0, 9, 4096, 100000};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        struct bide_store_operation operation = arrive("these", members[i], 0);
        operation.arrive.unless = "others";
        assert_true(apply(fixture->store, operation)->changed); /* the other set has others */
        assert_true(apply(fixture->store, arrive("others", members[i] + 1, 0))->changed);
        operation.arrive.member++;
        const struct bide_store_answer *answer = apply(fixture->store, operation);
        assert_false(answer->changed);
        assert_int_equal(answer->count, i + 1);
    }
}

static void needs_a_scope(void **state)
{
    struct fixture *fixture = *state;
    const struct bide_store_answer *answer = apply(fixture->store, lasting(arrive("set", 0, 1), 0));
    assert_false(answer->ok || answer->changed);
    apply(fixture->store, close_scope(LONG_MS));
    assert_true(apply(fixture->store, lasting(arrive("set", 0, 1), 0))->first);
}

static void after_lapse_it_is_empty(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture->store, arrive("set", 0, 2));
    apply(fixture->store, turn("mark", 1, 1, "x"));
    apply(fixture->store, close_scope(BRIEF_MS));
    wait_until_lapsed(fixture->store, "scope", "mark");
    const struct bide_store_answer *answer = apply(fixture->store, arrive("set", 1, 2));
    assert_false(answer->ok);
    assert_int_equal(answer->count, 1);
}

enum { WRITERS = 8, MEMBERS = 600, BATCH = 50 };

/* Each writer adds all members, each in its own order; tells how often it completed the set, and how often it
 * saw it complete. */
static bide_code add_all(struct bide_store *store, int number, int out, bide_error *error)
{
    struct bide_store_operation operations[BATCH];
    struct bide_store_letter letters[BATCH];
    unsigned char firsts = 0;
    for (int done = 0; done < MEMBERS; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            operations[i] = arrive("set", (done + i + number * MEMBERS / WRITERS) % MEMBERS, MEMBERS);
            letters[i] = (struct bide_store_letter){.operations = &operations[i], .n = 1};
        }
        bide_code code = bide_store_apply(store, letters, BATCH, error);
        if (code != BIDE_OK)
            return code;
        for (int i = 0; i < BATCH; i++)
            firsts = (unsigned char)(firsts + operations[i].answer.first);
    }
    return write(out, &firsts, 1) == 1 ? BIDE_OK : bide_fail(error, BIDE_E_INTERNAL, "write");
}

static void eight_writers_one_completion(void **state)
{
    struct fixture *fixture = *state;
    int from[WRITERS], firsts = 0;
    for (int i = 0; i < WRITERS; i++)
        from[i] = fixture_fork(fixture, i, add_all);
    for (int i = 0; i < WRITERS; i++) {
        unsigned char n;
        assert_int_equal(read(from[i], &n, 1), 1);
        close(from[i]);
        firsts += n;
        fixture_wait(fixture, i);
    }
    assert_int_equal(firsts, 1);
    const struct bide_store_answer *answer = apply(fixture->store, arrive("set", 0, 0));
    assert_true(answer->ok);
    assert_int_equal(answer->count, MEMBERS);
}

static const struct CMUnitTest cases[] = {
    CASE("arrive/is-complete-with-all-members", is_complete_with_all_members),
    CASE("arrive/total-may-come-last", total_may_come_last),
    CASE("arrive/total-may-come-first", total_may_come_first),
    CASE("arrive/members-of-another-set-are-kept-out", members_of_another_set_are_kept_out),
    CASE("arrive/members-lie-on-many-pages", members_lie_on_many_pages),
    CASE("arrive/needs-a-scope", needs_a_scope),
    CASE("arrive/after-lapse-it-is-empty", after_lapse_it_is_empty),
    CASE("arrive/eight-writers-one-completion", eight_writers_one_completion),
};
CASE_GROUP(set_cases, cases);
