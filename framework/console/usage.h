/* console/usage.h: what the worker's processes take from the machine, from /proc. Any thread. */
#ifndef BIDE_CONSOLE_USAGE_H
#define BIDE_CONSOLE_USAGE_H

#include <stdint.h>

#include "shared/memory.h"

/* Supervisor, worker processes and console together. What cannot be read counts as nothing. */
struct bide_usage {
    double cpu_s;
    int64_t resident, virtual_size; /* bytes */
    int64_t open_fds;
};

void bide_usage_take(const struct bide_shared *shared, struct bide_usage *ret_usage);

#endif
