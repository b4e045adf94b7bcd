#include "broker/rabbitmq/ladder.h"

#include <inttypes.h>
#include <stdio.h>

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS };

static const struct {
    int64_t unit_ms;
    int numbers;
} rungs[BIDE_RMQ_RUNGS] = {
    {100, 9},
    {10000 * MINUTE_MS, 9},
    {1000 * MINUTE_MS, 9},
    {100 * MINUTE_MS, 9},
    {10 * MINUTE_MS, 9},
    {MINUTE_MS, 9},
    {SECOND_MS, 59},
};

static const int64_t pass_ms = INT64_C(100000) * MINUTE_MS; /* from here on it takes more than one */

int64_t bide_rmq_rung_unit_ms(int rung)
{
    return rungs[rung].unit_ms;
}

int bide_rmq_rung_numbers(int rung)
{
    return rungs[rung].numbers;
}

int64_t bide_rmq_rung_ttl_ms(int rung, int number)
{
    return number * rungs[rung].unit_ms - BIDE_RMQ_TRIM_MS;
}

char *bide_rmq_rung_text(int rung, int number, char to[BIDE_RMQ_RUNG_TEXT])
{
    int64_t ms = number * rungs[rung].unit_ms;
    if (ms < SECOND_MS)
        snprintf(to, BIDE_RMQ_RUNG_TEXT, "%" PRId64 "ms", ms);
    else if (rungs[rung].unit_ms < MINUTE_MS)
        snprintf(to, BIDE_RMQ_RUNG_TEXT, "%" PRId64 "s", ms / SECOND_MS);
    else
        snprintf(to, BIDE_RMQ_RUNG_TEXT, "%" PRId64 "min", ms / MINUTE_MS);
    return to;
}

/* How long the rungs hold it in this pass. */
static int64_t held_ms(int64_t delay_ms, bool tenths)
{
    if (delay_ms + BIDE_RMQ_SLACK_MS >= pass_ms)
        return rungs[1].numbers * rungs[1].unit_ms;
    if (!tenths && delay_ms < BIDE_RMQ_EARLY_MS)
        return 0;
    delay_ms = delay_ms > 0 ? delay_ms + BIDE_RMQ_SLACK_MS : 0;
    if (tenths)
        return delay_ms / rungs[BIDE_RMQ_TENTHS].unit_ms * rungs[BIDE_RMQ_TENTHS].unit_ms;
    int64_t minutes_ms = delay_ms / MINUTE_MS * MINUTE_MS;
    int64_t seconds_ms = (delay_ms - BIDE_RMQ_AHEAD_MS) / SECOND_MS * SECOND_MS;
    return minutes_ms > seconds_ms ? minutes_ms
                                   : seconds_ms; /* of 5 min: one hop, not those of 4 min and 59 s */
}

static void write_path(struct bide_rmq_climb *climb, int shard)
{
    int size = snprintf(climb->path, sizeof climb->path, "%d.", shard);
    for (int rung = 0; rung < BIDE_RMQ_RUNGS; rung++)
        size += snprintf(climb->path + size, sizeof climb->path - (size_t)size, "%d.", climb->numbers[rung]);
}

void bide_rmq_climb_plan(int64_t delay_ms, bool tenths, int shard, struct bide_rmq_climb *ret_climb)
{
    struct bide_rmq_climb climb = {.first = BIDE_RMQ_RUNGS, .held_ms = held_ms(delay_ms, tenths)};
    int64_t left_ms = climb.held_ms;
    climb.numbers[BIDE_RMQ_TENTHS] = (int)(left_ms % SECOND_MS / rungs[BIDE_RMQ_TENTHS].unit_ms);
    for (int rung = BIDE_RMQ_TENTHS + 1; rung < BIDE_RMQ_RUNGS; rung++) {
        climb.numbers[rung] = (int)(left_ms / rungs[rung].unit_ms);
        left_ms %= rungs[rung].unit_ms;
    }
    for (int rung = BIDE_RMQ_RUNGS - 1; rung >= 0; rung--)
        if (climb.numbers[rung])
            climb.first = rung;
    write_path(&climb, shard);
    *ret_climb = climb;
}
