/* bench/bare.h: how the bare loops say what they measured, in the words that the bench's scripts read. */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <time.h>

/* Of CLOCK_MONOTONIC or CLOCK_PROCESS_CPUTIME_ID, in seconds. */
double seconds(clockid_t clock);
/* what: "send" or "drain"; since when on those two clocks. */
void report(const char *what, long messages, double wall, double cpu);

#endif
