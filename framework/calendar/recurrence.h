/* calendar/recurrence.h: when a schedule fires: by a cron expression in a time zone, or every so long.
 *
 * The times at which it fires are its *slots*. `every` fires at whole multiples since 1970 (UTC), so that all
 * hosts mean the same slots. A cron expression whose hour begins with `*` fires at each real time that
 * matches. Others name a time of day: one that does not exist (the clocks go forward) fires at the first
 * instant after the gap; one that exists twice fires at the first. Slots strictly ascend. Pure; any thread.
 */
#ifndef BIDE_CALENDAR_RECURRENCE_H
#define BIDE_CALENDAR_RECURRENCE_H

#include "calendar/cron.h"
#include "calendar/zone.h"

/* Owns its zone: cleared once. */
struct bide_recurrence {
    int64_t every_ms; /* 0: by `cron` */
    struct bide_cron cron;
    struct bide_zone *zone;
};

#define BIDE_NEVER INT64_MAX

/* cron NULL: every_ms (1 s or more). BIDE_E_USAGE, BIDE_E_NOMEM. */
bide_code bide_recurrence_read(const char *cron, const char *timezone, int64_t every_ms,
    struct bide_recurrence *ret_recurrence, bide_error *error);
void bide_recurrence_clear(struct bide_recurrence *recurrence); /* also a zeroed one */

/* The first slot after an instant (Unix ms); BIDE_NEVER: there is none. */
int64_t bide_recurrence_next(const struct bide_recurrence *recurrence, int64_t after_ms);
/* The last slot in first_ms … until_ms, where first_ms is one. */
int64_t bide_recurrence_last(const struct bide_recurrence *recurrence, int64_t first_ms, int64_t until_ms);

#endif
