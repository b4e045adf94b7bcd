/* Names: taken is exactly what the documented expression matches. */
#include "fuzz/fuzz.h"

#include <regex.h>
#include <stdbool.h>

#include "base/names.h"

static const char *const expressions[] = {
    "^[A-Za-z_-][A-Za-z0-9_.-]{0,99}$",                         /* types */
    "^[A-Za-z_-][A-Za-z0-9_-]{0,99}$",                          /* namespaces */
    "^(unrouted|hold\\..*|.*\\.landing|.*\\.later|.*\\.dead)$", /* never a queue */
};

static bool matches(const char *name, size_t which)
{
    static regex_t compiled[sizeof expressions / sizeof expressions[0]];
    static bool ready[sizeof expressions / sizeof expressions[0]];
    if (!ready[which])
        HOLDS(regcomp(&compiled[which], expressions[which], REG_EXTENDED | REG_NOSUB) == 0);
    ready[which] = true;
    return regexec(&compiled[which], name, 0, NULL, 0) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *name = text_of_input(bytes, size);
    HOLDS(bide_name_valid(name) == matches(name, 0));
    HOLDS(bide_namespace_valid(name) == matches(name, 1));
    HOLDS(bide_queue_name_valid(name) == (matches(name, 0) && !matches(name, 2)));
    free(name);
    return 0;
}
