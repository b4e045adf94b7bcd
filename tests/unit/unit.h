/* tests/unit/unit.h: what every unit test of base/ and message/ uses: allocations that fail, repeatable
 * random numbers, a main that takes a pattern.
 *
 * `test_x` runs all of its cases, `test_x PATTERN` those whose name matches; a pattern that matches none
 * fails. */
#ifndef BIDE_TESTS_UNIT_H
#define BIDE_TESTS_UNIT_H

#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "support/test.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* ---- allocations that fail ---- */

struct alloc_count {
    size_t asked, fail_at; /* the fail_at-th (from 1) fails; 0: none */
};

static inline int count_allocation(void *user, size_t size)
{
    struct alloc_count *count = user;
    (void)size;
    return ++count->asked != count->fail_at;
}

/* Runs `work` with its first, second, … allocation failing until it succeeds. `work` returns whether it did,
 * having checked what a failure must leave behind. Returns the number of failed runs. */
static inline size_t fail_each_allocation(bool (*work)(void *user), void *user)
{
    for (size_t n = 1;; n++) {
        struct alloc_count count = {.fail_at = n};
        bide_alloc_set_hook(count_allocation, &count);
        bool done = work(user);
        bide_alloc_set_hook(NULL, NULL);
        if (done) {
            assert_true(count.asked < n); /* an injected failure must not pass for success */
            return n - 1;
        }
        assert_true(count.asked >= n);
        assert_true(n < 10000);
    }
}

/* ---- numbers that look random and are the same each time ---- */

static inline uint64_t next_random(uint64_t *state) /* splitmix64 (S. Vigna 2015) */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* ---- main ---- */

static inline size_t count_matches(const struct CMUnitTest *tests, size_t n, const char *pattern)
{
    size_t matches = 0;
    for (size_t i = 0; i < n; i++)
        matches += fnmatch(pattern, tests[i].name, 0) == 0;
    return matches;
}

#define UNIT_MAIN(tests)                                                                                     \
    int main(int argc, char **argv)                                                                          \
    {                                                                                                        \
        if (argc > 1 && count_matches((tests), COUNT_OF(tests), argv[1]) == 0) {                             \
            fprintf(stderr, "no case matches '%s'\n", argv[1]);                                              \
            return 1;                                                                                        \
        }                                                                                                    \
        if (argc > 1)                                                                                        \
            cmocka_set_test_filter(argv[1]);                                                                 \
        return cmocka_run_group_tests_name(argv[0], tests, NULL, NULL);                                      \
    }

#endif
