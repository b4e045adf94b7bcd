/* calendar/cron.h: cron expressions.
 *
 * Five fields: minute, hour, day of month, month, day of week; or six, with seconds in front. A field is `*`,
 * a number, a range `1-5`, either with a step (`*` or a range, then /15), or a list of those. Months and days
 * of the week have names of three letters (jan, MON); Sunday is 0 and 7. `@hourly`, `@daily`, `@midnight`,
 * `@weekly`, `@monthly`, `@yearly` and `@annually` stand for whole expressions.
 *
 * Days, as in Vixie cron: where neither the day of month nor the day of week begins with `*`, a day that fits
 * one of them will do; else it must fit both. Pure; any thread. */
#ifndef BIDE_CALENDAR_CRON_H
#define BIDE_CALENDAR_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "bide/error.h"

/* What matches, as bits. Copied freely. */
struct bide_cron {
    uint64_t seconds, minutes, hours, days, months, weekdays;
    bool any_day, any_weekday; /* that field begins with `*` */
    bool any_hour;
};

/* BIDE_E_USAGE names the field and the column (from 1) of what is wrong; or it never matches. */
bide_code bide_cron_parse(const char *text, struct bide_cron *ret_cron, bide_error *error);

/* The first matching local time that is not before local_s (seconds since 1970 on a clock without offset, at
 * most that of the year 9999). False: none in the next 40 years. */
bool bide_cron_next(const struct bide_cron *cron, int64_t local_s, int64_t *ret_local_s);

#endif
