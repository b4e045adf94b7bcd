#include "broker/rabbitmq/old_ladder.h"

#include <inttypes.h>
#include <stdio.h>

enum { NUMBERS = 9, LEAST_MS = 100, SECOND_MS = 1000 };

int64_t bide_rmq_old_ms(int i)
{
    int64_t ms = LEAST_MS * (i % NUMBERS + 1);
    for (int unit = i / NUMBERS; unit > 0; unit--)
        ms *= 10;
    return ms;
}

char *bide_rmq_old_queue(const char *name_space, int i, char to[BIDE_RMQ_OLD_NAME])
{
    int64_t ms = bide_rmq_old_ms(i);
    if (ms < SECOND_MS)
        snprintf(to, BIDE_RMQ_OLD_NAME, "%.100s.hold.%" PRId64 "ms", name_space, ms);
    else
        snprintf(to, BIDE_RMQ_OLD_NAME, "%.100s.hold.%" PRId64 "s", name_space, ms / SECOND_MS);
    return to;
}

char *bide_rmq_old_exchange(const char *name_space, int i, char to[BIDE_RMQ_OLD_NAME])
{
    return bide_rmq_old_queue(name_space, i * NUMBERS, to);
}
