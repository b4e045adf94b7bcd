/* What a Redis answers to INFO: a value is one that stands there, and fits. */
#include "fuzz/fuzz.h"

#include "broker/redis/admin/info.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const names[] = {
        "redis_version", "maxmemory_policy", "used_memory", "aof_enabled", ""};
    char *text = text_of_input(bytes, size), value[24], line[64];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!bide_redis_info_value(text, names[i], value, sizeof value))
            continue;
        HOLDS(strlen(value) < sizeof value && !strpbrk(value, "\r\n"));
        snprintf(line, sizeof line, "%s:%s", names[i], value);
        HOLDS(strstr(text, line));
    }
    HOLDS(!bide_redis_info_value(NULL, names[0], value, sizeof value));
    free(text);
    return 0;
}
