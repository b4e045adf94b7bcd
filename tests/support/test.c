#include "support/test.h"

#include <inttypes.h>

void test_check_code(bide_code code, const char *call, const bide_error *error, const char *file, int line)
{
    if (code == BIDE_OK)
        return;
    print_error("%s returned %s: %s\n", call, bide_code_name(code), error ? error->text : "");
    _fail(file, line);
}

void test_check_between(
    int64_t value, int64_t low, int64_t high, const char *what, const char *file, int line)
{
    if (value >= low && value <= high)
        return;
    print_error("%s is %" PRId64 ", not within %" PRId64 " … %" PRId64 "\n", what, value, low, high);
    _fail(file, line);
}
