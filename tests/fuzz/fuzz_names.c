/* Names: taken is exactly what the documented expression matches. */
#include "fuzz/fuzz.h"

#include <regex.h>
#include <stdbool.h>
#include <string.h>

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

static bool is_queue(const char *name)
{
    return matches(name, 0) && !matches(name, 2);
}

/* SUB@TOPIC: each part is as a queue's name, but shorter. */
static bool is_subscription(const char *name)
{
    const char *at = strchr(name, '@');
    size_t size = at ? (size_t)(at - name) : 0;
    char part[BIDE_TOPIC_MAX + 1] = "";
    if (!at || size > BIDE_TOPIC_MAX || strlen(at + 1) > BIDE_TOPIC_MAX)
        return false;
    memcpy(part, name, size);
    return is_queue(part) && is_queue(at + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *name = text_of_input(bytes, size);
    HOLDS(bide_name_valid(name) == matches(name, 0));
    HOLDS(bide_namespace_valid(name) == matches(name, 1));
    HOLDS(bide_subscription_valid(name) == is_subscription(name));
    HOLDS(bide_queue_name_valid(name) == (is_queue(name) || is_subscription(name)));
    free(name);
    return 0;
}
