#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "contract_store/cases.h"

/* Letters and batches of them. */

static void operations_go_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct bide_store_operation operations[] = {
        turn("a", 1, 1, "x"), turn("a", 2, 2, "y"), get("a"), arrive("set", 0, 2), arrive("set", 1, 2)};
    apply_all(fixture->store, operations, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(operations[i].answer.ok, i != 3);
    assert_int_equal(operations[2].answer.state, 2);
    letter_forget(operations, 5);
}

static void stop_keeps_the_rest_from_being_applied(void **state)
{
    struct fixture *fixture = *state;
    struct bide_store_operation operations[] = {
        turn("before", 1, 1, "x"), turn("guard", 2, 2, "y"), turn("behind", 1, 1, "x"), arrive("set", 0, 1)};
    operations[1].stop = true;
    for (int again = 0; again < 2; again++) {
        apply_all(fixture->store, operations, 4);
        for (int i = 0; i < 4; i++)
            assert_int_equal(operations[i].answer.skipped, i > 1);
        letter_forget(operations, 4);
    }
    assert_fact(fixture->store, "before", 1, "x");
    assert_fact(fixture->store, "behind", 0, NULL);
    apply(fixture->store, turn("guard", 1, 1, "open"));
    apply_all(fixture->store, operations, 4);
    assert_true(operations[1].answer.ok && operations[2].answer.ok && operations[3].answer.first);
    letter_forget(operations, 4);
    apply_all(fixture->store, operations, 4); /* the guard finds its own, so the rest is applied again */
    assert_true(operations[1].answer.ok && operations[2].answer.ok && operations[3].answer.ok);
    letter_forget(operations, 4);
}

/* "All members of S and of T have arrived, so …": completeness is a condition, too. */
static void completeness_is_a_condition(void **state)
{
    struct fixture *fixture = *state;
    struct bide_store_operation operations[] = {arrive("a", 0, 2), arrive("all", 0, 1)};
    operations[0].stop = true;
    apply_all(fixture->store, operations, 2);
    assert_true(operations[1].answer.skipped);
    operations[0].arrive.member = 1;
    apply_all(fixture->store, operations, 2);
    assert_true(operations[1].answer.ok);
}

static void a_wrong_letter_stays_alone(void **state)
{
    struct fixture *fixture = *state;
    char long_name[BIDE_STORE_KEY_MAX + 2];
    bide_error error;
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    struct bide_store_operation operations[] = {turn("a", 1, 1, "x"), turn(long_name, 1, 1, "x"),
        turn("", 1, 1, "x"), turn("b", 1, 8, "x"), arrive("s", -2, 0), arrive("s", BIDE_STORE_MEMBERS_MAX, 0),
        meter("m", 1, 0, 0), acquire("h", "", 1), lasting(acquire("h", "x", 1), 0),
        lasting(turn("c", 1, 1, "x"), -1), turn("z", 1, 1, "x")};
    enum { N = sizeof operations / sizeof operations[0] };
    struct bide_store_letter letters[N];
    for (int i = 0; i < N; i++)
        letters[i] = (struct bide_store_letter){.operations = &operations[i], .n = 1};
    assert_int_equal(bide_store_apply(fixture->store, letters, N, &error), BIDE_E_DATA);
    for (int i = 0; i < N; i++)
        assert_int_equal(letters[i].code, i == 0 || i == N - 1 ? BIDE_OK : BIDE_E_DATA);
    assert_fact(fixture->store, "a", 1, "x");
    assert_fact(fixture->store, "z", 1, "x");
    assert_fact(fixture->store, "b", 0, NULL);
}

static void longest_names_fit(void **state)
{
    struct fixture *fixture = *state;
    char name[BIDE_STORE_KEY_MAX + 1];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_true(apply(fixture->store, in_scope(turn(name, 1, 1, "x"), name))->changed);
    assert_true(apply(fixture->store, in_scope(acquire(name, name, 1), name))->ok);
    assert_true(apply(fixture->store, in_scope(arrive(name, 0, 1), name))->ok);
    assert_true(apply(fixture->store, in_scope(get(name), name))->ok);
}

static void a_thousand_letters_twice(void **state)
{
    struct fixture *fixture = *state;
    enum { N = BIDE_STORE_LETTERS_MAX };
    static struct bide_store_operation operations[N][3];
    static struct bide_store_letter letters[N];
    static char keys[N][8];
    bide_error error;
    for (int i = 0; i < N; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        operations[i][0] = turn(keys[i], 1, 1, keys[i]);
        operations[i][1] = arrive("set", i, N);
        operations[i][2] = get(keys[i]);
        letters[i] = (struct bide_store_letter){.operations = operations[i], .n = 3};
    }
    for (int again = 0; again < 2; again++) {
        assert_ok(bide_store_apply(fixture->store, letters, N, &error), &error);
        for (int i = 0; i < N; i++) {
            assert_true(operations[i][0].answer.ok);
            assert_int_equal(operations[i][0].answer.changed, again == 0);
            assert_int_equal(operations[i][1].answer.count, again ? N : i + 1);
            assert_int_equal(operations[i][1].answer.first, i == N - 1 && again == 0);
            assert_int_equal(operations[i][2].answer.size, strlen(keys[i]));
        }
    }
    for (int i = 0; i < N; i++)
        bide_store_letter_clear(&letters[i]);
}

static void an_empty_batch_is_fine(void **state)
{
    struct fixture *fixture = *state;
    struct bide_store_letter letter = {0};
    bide_error error;
    assert_ok(bide_store_apply(fixture->store, NULL, 0, &error), &error);
    assert_ok(bide_store_apply(fixture->store, &letter, 1, &error), &error);
}

static void the_largest_letter_is_applied(void **state)
{
    struct fixture *fixture = *state;
    static struct bide_store_operation operations[BIDE_STORE_OPERATIONS_MAX];
    for (int i = 0; i < BIDE_STORE_OPERATIONS_MAX; i++)
        operations[i] = arrive("set", i, BIDE_STORE_OPERATIONS_MAX);
    apply_all(fixture->store, operations, BIDE_STORE_OPERATIONS_MAX);
    assert_true(operations[BIDE_STORE_OPERATIONS_MAX - 1].answer.first);
}

enum { THREADS = 4, ROUNDS = 20 };

struct thread {
    pthread_t id;
    struct fixture *fixture;
    bide_code code;
    int firsts;
};

static void *write_in_a_thread(void *user)
{
    struct thread *thread = user;
    struct bide_store *store = NULL;
    thread->code = bide_store_open(&thread->fixture->options, &store, NULL);
    for (int i = 0; i < ROUNDS && thread->code == BIDE_OK; i++) {
        struct bide_store_operation operations[] = {
            turn("a", BIDE_STORE_ANY, 1, "x"), arrive("set", i, ROUNDS), acquire("permit", "everybody", 1)};
        struct bide_store_letter letter = {.operations = operations, .n = 3};
        thread->code = bide_store_apply(store, &letter, 1, NULL);
        thread->firsts += operations[1].answer.first;
    }
    bide_store_destroy(store);
    return NULL;
}

static void threads_have_stores_of_their_own(void **state)
{
    struct thread threads[THREADS];
    int firsts = 0;
    for (int i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.fixture = *state};
        assert_int_equal(pthread_create(&threads[i].id, NULL, write_in_a_thread, &threads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i].id, NULL);
        assert_int_equal(threads[i].code, BIDE_OK);
        firsts += threads[i].firsts;
    }
    assert_int_equal(firsts, 1);
}

static const struct CMUnitTest cases[] = {
    CASE("letter/threads-have-stores-of-their-own", threads_have_stores_of_their_own),
    CASE("letter/operations-go-in-order", operations_go_in_order),
    CASE("letter/stop-keeps-the-rest-from-being-applied", stop_keeps_the_rest_from_being_applied),
    CASE("letter/completeness-is-a-condition", completeness_is_a_condition),
    CASE("letter/a-wrong-letter-stays-alone", a_wrong_letter_stays_alone),
    CASE("letter/longest-names-fit", longest_names_fit),
    CASE("letter/a-thousand-letters-twice", a_thousand_letters_twice),
    CASE("letter/an-empty-batch-is-fine", an_empty_batch_is_fine),
    CASE("letter/the-largest-letter-is-applied", the_largest_letter_is_applied),
};
CASE_GROUP(letter_cases, cases);
