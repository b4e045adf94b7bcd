#include "bare.h"

#include <stdio.h>

double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void report(const char *what, long messages, double wall, double cpu)
{
    printf("bare %s: %ld messages, %.0f/s, %.2f us CPU a message\n", what, messages,
        (double)messages / (seconds(CLOCK_MONOTONIC) - wall),
        (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)messages * 1e6);
    fflush(stdout);
}
