#include "console/totals.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add_stat(pid_t pid, struct bide_usage *usage)
{
    char path[64], line[1024];
    unsigned long long user, system, virtual_size;
    long long resident;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    const char *after = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL; /* a name may hold ')' */
    if (after && sscanf(after + 1,
                     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %*u "
                     "%llu %lld",
                     &user, &system, &virtual_size, &resident) == 4) {
        usage->cpu_s += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
        usage->virtual_size += (int64_t)virtual_size;
        usage->resident += resident * sysconf(_SC_PAGESIZE);
    }
    fclose(file);
}

static void add_fds(pid_t pid, struct bide_usage *usage)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *entries = opendir(path);
    for (const struct dirent *entry; entries && (entry = readdir(entries));)
        usage->open_fds += entry->d_name[0] != '.';
    if (entries)
        closedir(entries);
}

static void add_process(pid_t pid, struct bide_usage *usage)
{
    if (pid <= 0)
        return;
    add_stat(pid, usage);
    add_fds(pid, usage);
}

void bide_usage_take(const struct bide_shared *shared, struct bide_usage *ret_usage)
{
    *ret_usage = (struct bide_usage){0};
    add_process(shared->supervisor, ret_usage);
    add_process(getpid(), ret_usage);
    for (size_t i = 0; i < shared->n_places; i++)
        add_process(atomic_load(&shared->places[i].pid), ret_usage);
}
