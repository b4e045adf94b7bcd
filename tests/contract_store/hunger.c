#include "base/alloc.h"
#include "contract_store/cases.h"

/* No memory: the Nth allocation fails, for every N that a call asks for. The call fails or succeeds as a
 * whole, and the next one works. */

struct hunger {
    size_t asked, fail_at;
};

static int is_fed(void *user, size_t size)
{
    struct hunger *hunger = user;
    (void)size;
    return ++hunger->asked != hunger->fail_at;
}

enum { OPERATIONS = 7, MOST = 500 };

static void fill(struct bide_store_operation operations[OPERATIONS])
{
    operations[0] = turn("a", 1, 1, "data of a");
    operations[1] = turn("a", 1, 2, "other data"); /* refused: its answer has data */
    operations[2] = arrive("set", 5000, 2);
    operations[3] = meter("rate", 1, 1, 0);
    operations[4] = acquire("permit", "holder", 2);
    operations[5] = get("a");
    operations[6] = close_scope(LONG_MS);
}

static void no_facts(void *user, const struct bide_store_fact *fact)
{
    (void)fact;
    ++*(int *)user;
}

static bide_code use_store(struct fixture *fixture, struct bide_store_letter *letter, bide_error *error)
{
    struct bide_store *store = NULL;
    struct bide_store_cursor cursor = {0};
    int n = 0;
    int64_t wait_ms = 0;
    bide_code code = bide_store_open(&fixture->options, &store, error);
    if (code == BIDE_OK)
        code = bide_store_apply(store, letter, 1, error);
    if (code == BIDE_OK)
        code = bide_store_scan(store, "scope", "a", 10, &cursor, no_facts, &n, error);
    if (code == BIDE_OK)
        code = bide_store_tend(store, &wait_ms, error);
    bide_store_destroy(store);
    return code;
}

static void each_allocation_fails(void **state)
{
    struct fixture *fixture = *state;
    struct bide_store_operation operations[OPERATIONS];
    bide_error error;
    size_t n = 1;
    fixture->options.timeout_ms = 1000;
    for (;; n++) {
        struct hunger hunger = {.fail_at = n};
        struct bide_store_letter letter = {.operations = operations, .n = OPERATIONS};
        fill(operations);
        bide_alloc_set_hook(is_fed, &hunger);
        bide_code code = use_store(fixture, &letter, &error);
        bide_alloc_set_hook(NULL, NULL);
        assert_true(code == BIDE_OK || code == BIDE_E_NOMEM || code == BIDE_E_BROKER);
        if (letter.code != BIDE_OK)
            for (size_t i = 0; i < OPERATIONS; i++)
                assert_null(operations[i].answer.data);
        letter_forget(operations, OPERATIONS);
        if (hunger.asked < n)
            break;
        assert_true(n < MOST);
    }
    print_message("%zu allocations\n", n - 1);
    assert_true(n > 5);
    assert_fact(fixture->store, "a", 1, "data of a");
}

static const struct CMUnitTest cases[] = {CASE("hunger/each-allocation-fails", each_allocation_fails)};
CASE_GROUP(hunger_cases, cases);
