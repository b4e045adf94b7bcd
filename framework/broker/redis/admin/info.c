#include "broker/redis/admin/info.h"

#include <stdio.h>
#include <string.h>

bool bide_redis_info_value(const char *info, const char *name, char *to, size_t size)
{
    size_t name_size = strlen(name);
    for (const char *line = info; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, name_size) != 0 || line[name_size] != ':')
            continue;
        const char *value = line + name_size + 1;
        snprintf(to, size, "%.*s", (int)strcspn(value, "\r\n"), value);
        return true;
    }
    return false;
}
