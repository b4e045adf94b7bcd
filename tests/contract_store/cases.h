/* tests/contract_store/cases.h: the contract of framework/store/store.h as cases, grouped by operation.
 *
 * A case gets a `struct fixture` in *state, with a namespace that no other case uses. Times are real: what
 * has to lapse lasts some 10 ms and is waited for. Thread-safety: one thread at a time. */
#ifndef TESTS_CONTRACT_STORE_CASES_H
#define TESTS_CONTRACT_STORE_CASES_H

#include <sys/types.h>

#include "store/store.h"
#include "support/deadline.h"
#include "support/test.h"

struct case_group {
    const struct CMUnitTest *cases;
    size_t n;
};

/* A row of a group's table: "operation/what" and its function. */
#define CASE(name, function)                                                                                 \
    {                                                                                                        \
        name, function, fixture_setup, fixture_teardown, NULL                                                \
    }
#define CASE_GROUP(group, table) const struct case_group group = {table, sizeof table / sizeof table[0]}

extern const struct case_group turn_cases;
extern const struct case_group set_cases;
extern const struct case_group rate_cases;
extern const struct case_group permit_cases;
extern const struct case_group letter_cases;
extern const struct case_group scan_cases;
extern const struct case_group kill_cases;
extern const struct case_group hunger_cases;
extern const struct case_group sqlite_fault_cases;
extern const struct case_group redis_fault_cases;

/* What the program was called with. */
struct store_place {
    char *url;
    const char *server; /* folder of tests/support/server-redis; NULL: the server is not ours */
};
/* Prints what letters cost; an exit status. */
int measure(char *url);

enum { LONG_MS = 60 * 1000, BRIEF_MS = 40, SOON_MS = 10 * 1000, FIXTURE_CHILDREN = 8 };

struct fixture {
    const char *server; /* of store_place */
    struct bide_url url;
    struct bide_store_options options;
    char name_space[48];
    struct bide_store *store, *other; /* two stores on one place; `other` is opened by fixture_other */
    pid_t children[FIXTURE_CHILDREN];
};

int fixture_setup(void **state); /* the test's initial_state is a store_place */
int fixture_teardown(void **state);
struct bide_store *fixture_other(struct fixture *fixture);
/* Runs `role` in a child process with a store of its own, and returns what reads its answers: the role writes
 * to `out`. The child ends when the role returns, or is killed by fixture_kill or at the end of the case. */
typedef bide_code child_role(struct bide_store *store, int number, int out, bide_error *error);
int fixture_fork(struct fixture *fixture, int number, child_role *role);
void fixture_kill(struct fixture *fixture, int number);
/* Waits for the child; its exit status is to be 0. */
void fixture_wait(struct fixture *fixture, int number);

/* ---- operations in the scope "scope" ---- */

struct bide_slice text(const char *text);
struct bide_store_operation turn(const char *key, unsigned from, unsigned to, const char *data);
struct bide_store_operation get(const char *key);
struct bide_store_operation arrive(const char *key, int64_t member, int64_t total);
struct bide_store_operation meter(const char *key, int64_t n, int64_t interval_us, int64_t within_us);
struct bide_store_operation acquire(const char *key, const char *holder, int64_t n);
struct bide_store_operation release(const char *key, const char *holder);
struct bide_store_operation close_scope(int64_t lasts_ms);
/* The same in another scope, or for another time. */
struct bide_store_operation in_scope(struct bide_store_operation operation, const char *scope);
struct bide_store_operation lasting(struct bide_store_operation operation, int64_t lasts_ms);

/* Applies one operation in a letter of its own; the answer's data stay until the next call. */
const struct bide_store_answer *apply(struct bide_store *store, struct bide_store_operation operation);
/* Applies n operations as one letter, in place; letter_forget afterwards. */
void apply_all(struct bide_store *store, struct bide_store_operation *operations, size_t n);
void letter_forget(struct bide_store_operation *operations, size_t n);

/* Asserts what GET says; data NULL: there is no such fact. */
void assert_fact(struct bide_store *store, const char *key, unsigned state, const char *data);
/* Waits until there is no such fact. */
void wait_until_lapsed(struct bide_store *store, const char *scope, const char *key);

#endif
