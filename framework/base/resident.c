#include "base/resident.h"

#include <stdio.h>
#include <unistd.h>

int64_t bide_resident_bytes(pid_t pid)
{
    char path[64];
    long long pages, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%lld %lld", &pages, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}
