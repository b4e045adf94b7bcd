/* tests/support/test.h: cmocka with what it needs, and an assertion that shows a bide_error's text.
 *
 * Assertions leave the test by longjmp: only the thread that runs the test may use them. */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef stop /* cmocka 2.0 makes a macro of this name; here it is a broker's function */

#include "bide/error.h"

/* Fails the test with the error's text unless the call returned BIDE_OK. */
#define assert_ok(call, error) test_check_code((call), #call, (error), __FILE__, __LINE__)
void test_check_code(bide_code code, const char *call, const bide_error *error, const char *file, int line);

/* Between: low <= value <= high, for signed 64-bit values, shown as such. */
#define assert_between(value, low, high)                                                                     \
    test_check_between((value), (low), (high), #value, __FILE__, __LINE__)
void test_check_between(
    int64_t value, int64_t low, int64_t high, const char *what, const char *file, int line);

#endif
