#include "broker/rabbitmq/ladder.h"

#include <inttypes.h>
#include <stdio.h>

static const int64_t pass_ticks = 100000000;    /* 10^8: the first number with nine digits */
static const int64_t top_rung_ticks = 90000000; /* digit 9 on the top rung */

int64_t bide_rmq_rung_unit_ms(int rung)
{
    int64_t unit = BIDE_RMQ_TICK_MS;
    while (rung-- > 0)
        unit *= 10;
    return unit;
}

int64_t bide_rmq_rung_ttl_ms(int rung, int digit)
{
    return digit * bide_rmq_rung_unit_ms(rung) - BIDE_RMQ_TRIM_MS;
}

char *bide_rmq_rung_text(int rung, int digit, char to[BIDE_RMQ_RUNG_TEXT])
{
    int64_t ms = digit * bide_rmq_rung_unit_ms(rung);
    if (rung == 0)
        snprintf(to, BIDE_RMQ_RUNG_TEXT, "%" PRId64 "ms", ms);
    else
        snprintf(to, BIDE_RMQ_RUNG_TEXT, "%" PRId64 "s", ms / 1000);
    return to;
}

static int64_t ticks_of_pass(int64_t delay_ms)
{
    int64_t ticks = delay_ms > 0 ? delay_ms / BIDE_RMQ_TICK_MS : 0;
    return ticks < pass_ticks ? ticks : top_rung_ticks;
}

void bide_rmq_climb_plan(int64_t delay_ms, struct bide_rmq_climb *ret_climb)
{
    int64_t ticks = ticks_of_pass(delay_ms);
    struct bide_rmq_climb climb = {.first = -1, .held_ms = ticks * BIDE_RMQ_TICK_MS};
    for (int rung = 0; rung < BIDE_RMQ_RUNGS; rung++, ticks /= 10) {
        int digit = (int)(ticks % 10);
        climb.digits[rung] = digit;
        if (digit)
            climb.first = rung;
        char *at = climb.path + 2 * (BIDE_RMQ_RUNGS - 1 - rung);
        at[0] = (char)('0' + digit);
        at[1] = '.';
    }
    *ret_climb = climb;
}
