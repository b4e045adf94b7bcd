#include "supervisor/supervising.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 256 };

/* Reads the number behind `key` in a file of "key number" lines. */
static int64_t read_count(const char *path, const char *key)
{
    char line[LINE_BYTES], name[LINE_BYTES];
    long long value;
    int64_t found = -1;
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    while (found < 0 && fgets(line, sizeof line, file))
        if (sscanf(line, "%255s %lld", name, &value) == 2 && strcmp(name, key) == 0)
            found = value;
    fclose(file);
    return found;
}

/* Finds this process's control group: the line "0::/path" names it. */
static bool find_group(char *to, size_t room)
{
    char line[PATH_MAX];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof line, file))
        if (strncmp(line, "0::/", 4) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(to, room, "/sys/fs/cgroup%s/memory.events", line + 3);
            found = true;
        }
    fclose(file);
    return found;
}

int64_t bide_oom_kills(void)
{
    char path[PATH_MAX + 64];
    int64_t count = find_group(path, sizeof path) ? read_count(path, "oom_kill") : -1;
    return count >= 0 ? count : read_count("/proc/vmstat", "oom_kill");
}

const char *bide_oom_verdict(int64_t before, int64_t after)
{
    if (before < 0 || after < 0)
        return "by hand or out of memory";
    return after > before ? "out of memory: the kernel did it" : "not for want of memory: somebody did it";
}
