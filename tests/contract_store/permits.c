#include <unistd.h>

#include "contract_store/cases.h"

/* ACQUIRE, RELEASE and sessions. */

static void grants_as_many_as_there_are(void **state)
{
    struct fixture *fixture = *state;
    const struct bide_store_answer *answer = apply(fixture->store, acquire("k", "a", 2));
    assert_true(answer->ok && answer->changed);
    assert_int_equal(answer->count, 1);
    assert_true(apply(fixture_other(fixture), acquire("k", "b", 2))->ok);
    answer = apply(fixture->store, acquire("k", "c", 2));
    assert_false(answer->ok || answer->changed);
    assert_int_equal(answer->count, 2);
    assert_true(apply(fixture->store, acquire("k", "c", 3))->ok);
    assert_int_equal(apply(fixture->store, acquire("k", NULL, 0))->count, 3);
}

static void twice_is_success(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        const struct bide_store_answer *answer = apply(fixture->store, acquire("k", "a", 1));
        assert_true(answer->ok);
        assert_int_equal(answer->changed, i == 0);
        assert_int_equal(answer->count, 1);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(apply(fixture->store, release("k", "a"))->changed, i == 0);
    assert_true(apply(fixture_other(fixture), acquire("k", "b", 1))->ok);
}

static void release_is_for_its_own_session(void **state)
{
    struct fixture *fixture = *state;
    struct bide_store *other = fixture_other(fixture);
    apply(fixture->store, acquire("k", "a", 1));
    assert_false(apply(other, release("k", "a"))->changed);
    assert_false(apply(other, acquire("k", "b", 1))->ok);
    /* The holder went on elsewhere, as a redelivered message does: its first session has nothing to release.
     */
    assert_true(apply(other, acquire("k", "a", 1))->ok);
    assert_false(apply(fixture->store, release("k", "a"))->changed);
    assert_true(apply(other, release("k", "a"))->changed);
}

static void permits_end_with_their_time(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture->store, lasting(acquire("k", "a", 1), BRIEF_MS));
    struct deadline deadline = deadline_in_ms(SOON_MS);
    while (!apply(fixture->store, acquire("k", "b", 1))->ok && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    assert_int_equal(apply(fixture->store, acquire("k", "b", 1))->count, 1);
}

static void permits_end_with_the_store(void **state)
{
    struct fixture *fixture = *state;
    apply(fixture_other(fixture), acquire("k", "a", 1));
    assert_false(apply(fixture->store, acquire("k", "b", 1))->ok);
    bide_store_destroy(fixture->other);
    fixture->other = NULL;
    struct deadline deadline = deadline_in_ms(SOON_MS);
    while (!apply(fixture->store, acquire("k", "b", 1))->ok && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    assert_true(apply(fixture->store, acquire("k", "b", 1))->ok);
}

/* Keeps its session alive until it is killed. */
static bide_code hold(struct bide_store *store, int number, int out, bide_error *error)
{
    (void)number;
    struct bide_store_operation operation = acquire("k", "child", 1);
    struct bide_store_letter letter = {.operations = &operation, .n = 1};
    bide_code code = bide_store_apply(store, &letter, 1, error);
    if (code != BIDE_OK || !operation.answer.ok || write(out, "x", 1) != 1)
        return code;
    for (;;) {
        int64_t wait_ms = 0;
        code = bide_store_tend(store, &wait_ms, error);
        if (code != BIDE_OK)
            return code;
        usleep((useconds_t)wait_ms * 500);
    }
}

/* Long enough for a session that nobody keeps alive to end. */
enum { SESSION_MS = 4000 };

static void permits_end_with_a_killed_process(void **state)
{
    struct fixture *fixture = *state;
    char byte;
    int from = fixture_fork(fixture, 0, hold);
    assert_int_equal(read(from, &byte, 1), 1);
    close(from);
    struct deadline alive = deadline_in_ms(SESSION_MS);
    while (!deadline_passed(&alive)) {
        assert_false(apply(fixture->store, acquire("k", "b", 1))->ok);
        deadline_nap(&alive);
    }
    fixture_kill(fixture, 0);
    struct deadline deadline = deadline_in_ms(SOON_MS);
    while (!apply(fixture->store, acquire("k", "b", 1))->ok && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    assert_true(apply(fixture->store, acquire("k", "b", 1))->ok);
}

static const struct CMUnitTest cases[] = {
    CASE("acquire/grants-as-many-as-there-are", grants_as_many_as_there_are),
    CASE("acquire/twice-is-success", twice_is_success),
    CASE("acquire/release-is-for-its-own-session", release_is_for_its_own_session),
    CASE("acquire/permits-end-with-their-time", permits_end_with_their_time),
    CASE("acquire/permits-end-with-the-store", permits_end_with_the_store),
    CASE("acquire/permits-end-with-a-killed-process", permits_end_with_a_killed_process),
};
CASE_GROUP(permit_cases, cases);
