#include "calendar/recurrence.h"

#include "calendar/civil.h"

#define LATEST_S INT64_C(253402300800) /* the year 10000 */

bide_code bide_recurrence_read(const char *cron, const char *timezone, int64_t every_ms,
    struct bide_recurrence *ret_recurrence, bide_error *error)
{
    struct bide_recurrence recurrence = {.every_ms = cron ? 0 : every_ms};
    bide_code code = cron ? bide_cron_parse(cron, &recurrence.cron, error) : BIDE_OK;
    if (code == BIDE_OK && cron)
        code = bide_zone_open(timezone, &recurrence.zone, error);
    if (code == BIDE_OK)
        *ret_recurrence = recurrence;
    return code;
}

void bide_recurrence_clear(struct bide_recurrence *recurrence)
{
    bide_zone_destroy(recurrence->zone);
    *recurrence = (struct bide_recurrence){0};
}

/* Of each offset's time: what matches in it. */
static int64_t next_real(const struct bide_recurrence *recurrence, int64_t at_s)
{
    while (at_s < LATEST_S) {
        int64_t local_s, offset_s = bide_zone_offset(recurrence->zone, at_s);
        int64_t end_s = bide_zone_change(recurrence->zone, at_s);
        if (!bide_cron_next(&recurrence->cron, at_s + offset_s, &local_s))
            break;
        if (local_s - offset_s < end_s)
            return local_s - offset_s;
        at_s = end_s;
    }
    return BIDE_NEVER;
}

/* Instants ascend as local times do, so the first one after after_s is found from its own local time on. */
static int64_t next_nominal(const struct bide_recurrence *recurrence, int64_t after_s)
{
    int64_t local_s = after_s + bide_zone_offset(recurrence->zone, after_s);
    while (local_s < LATEST_S && bide_cron_next(&recurrence->cron, local_s, &local_s)) {
        int64_t at_s = bide_zone_instant(recurrence->zone, local_s);
        if (at_s > after_s)
            return at_s;
        local_s++;
    }
    return BIDE_NEVER;
}

int64_t bide_recurrence_next(const struct bide_recurrence *recurrence, int64_t after_ms)
{
    if (after_ms >= LATEST_S * 1000)
        return BIDE_NEVER;
    if (recurrence->every_ms)
        return (bide_floor_div(after_ms, recurrence->every_ms) + 1) * recurrence->every_ms;
    int64_t after_s = bide_floor_div(after_ms, 1000);
    int64_t next_s =
        recurrence->cron.any_hour ? next_real(recurrence, after_s + 1) : next_nominal(recurrence, after_s);
    return next_s == BIDE_NEVER ? BIDE_NEVER : next_s * 1000;
}

/* Looks back twice as far each time, because a rare schedule may have none for years, and a frequent one
 * millions since the first. */
int64_t bide_recurrence_last(const struct bide_recurrence *recurrence, int64_t first_ms, int64_t until_ms)
{
    for (int64_t back_ms = 60 * 1000; until_ms - back_ms > first_ms; back_ms *= 2) {
        int64_t found_ms = bide_recurrence_next(recurrence, until_ms - back_ms);
        if (found_ms <= until_ms) {
            first_ms = found_ms;
            break;
        }
    }
    for (int64_t next_ms = first_ms; next_ms <= until_ms; next_ms = bide_recurrence_next(recurrence, next_ms))
        first_ms = next_ms;
    return first_ms;
}
