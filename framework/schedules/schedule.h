/* schedules/schedule.h: one schedule: what is declared, and where it stands.
 *
 * Both lie in one fact of the store. `next_ms` is the high-water mark: slots before it never fire again. A
 * clock (clock.h) fires a slot in three steps, each of which changes the fact only if it is still the one
 * that was looked at (its revision): it claims the slot, sends the message, whose id NAME@SLOT is the same
 * whoever sends it, and moves `next_ms` on once the broker has confirmed. If it dies in between, another
 * clock sends the same message again; workers run one of the two (worker/gates/schedule.c). Why so:
 * docs/decisions/0042-schedules.md.
 *
 * Everything here is pure: no store, no clock. Any thread. */
#ifndef BIDE_SCHEDULES_SCHEDULE_H
#define BIDE_SCHEDULES_SCHEDULE_H

#include <jansson.h>

#include "base/buffer.h"
#include "bide/message.h"
#include "calendar/recurrence.h"
#include "config/config.h"
#include "message/message.h"

enum {
    BIDE_REVISION_TEXT = 17,
    BIDE_SLOTS_AT_ONCE = 100,
    BIDE_ALWAYS_FIRES_MS = 60 * 1000, /* what is so late at most fires, whatever catch_up says */
    BIDE_FIRES_AHEAD_MS = 5 * 1000,   /* messages are sent so long before their slot, so that another clock
                                         has time when one dies */
    BIDE_LATE_MS = 1000,              /* what is sent so long after its slot counts as late */
    BIDE_MISSED_MAX = 100000,         /* more missed slots at once are not counted */
};

struct bide_schedule {
    struct bide_schedule_config is; /* its texts belong to a configuration, or to `root` */
    struct bide_recurrence recurrence;
    bool added;                        /* by `bide cron add`: every clock fires it */
    char revision[BIDE_REVISION_TEXT]; /* another after each change; "": it is not in the store */
    char claim[BIDE_REVISION_TEXT];    /* of who is about to send `next_ms`; "": nobody */
    bool paused;
    int64_t next_ms;
    int64_t last_ms; /* the last slot that fired; 0: none yet */
    int64_t fired, late, skipped, missed;
    json_t *root; /* NULL: read from no fact */
};

/* A new one as the configuration has it, which stays borrowed; its first slot is the next one after now_ms.
 * BIDE_E_NOMEM, BIDE_E_USAGE (its time zone is gone). */
bide_code bide_schedule_declare(const struct bide_schedule_config *declared, int64_t now_ms,
    struct bide_schedule *ret_schedule, bide_error *error);
/* From the data of its fact. BIDE_E_DATA: they are not a schedule's, or those of a newer version; the text
 * names the schedule. */
bide_code bide_schedule_read(
    const char *name, struct bide_slice data, struct bide_schedule *ret_schedule, bide_error *error);
/* Can it fire here? One that was read may have a time zone that this machine does not have (any more): it can
 * be looked at, removed and declared anew, but its recurrence is not to be used. BIDE_E_DATA says so. */
bide_code bide_schedule_check(const struct bide_schedule *schedule, bide_error *error);
void bide_schedule_clear(struct bide_schedule *schedule); /* also a zeroed one */

/* Appends the data of its fact, which begin with its revision. */
void bide_schedule_write(const struct bide_schedule *schedule, struct bide_buffer *to);
/* Is the same declared, but for the name? */
bool bide_schedule_is_same(const struct bide_schedule_config *one, const struct bide_schedule_config *other);
/* Appends "30 2 * * * Europe/Berlin" or "every 30s". */
void bide_schedule_add_times(const struct bide_schedule_config *declared, struct bide_buffer *to);

/* ---- what is to be done ---- */

struct bide_schedule_plan {
    enum { BIDE_SCHEDULE_WAITS, BIDE_SCHEDULE_MOVES, BIDE_SCHEDULE_FIRES } does;
    int64_t at_ms;   /* WAITS: until then (Unix ms), or BIDE_NEVER */
    int64_t missed;  /* MOVES, FIRES: slots that are passed over */
    int64_t next_ms; /* MOVES: the new high-water mark. FIRES: that after the slots */
    size_t n;        /* FIRES: slots, in order */
    int64_t slots_ms[BIDE_SLOTS_AT_ONCE];
};

void bide_schedule_plan(
    const struct bide_schedule *schedule, int64_t now_ms, struct bide_schedule_plan *ret_plan);

/* Is the next slot later than a clock that is right, or wrong by a minute, would have set it? Then the clock
 * of some host was ahead: the schedule does not fire until then, unless it is paused and resumed. */
bool bide_schedule_is_ahead(const struct bide_schedule *schedule, int64_t now_ms);

/* ---- its messages ---- */

/* The message of a slot. BIDE_E_DATA (it can never be sent), BIDE_E_NOMEM. */
bide_code bide_schedule_message(const struct bide_schedule_config *declared, int64_t slot_ms,
    bide_message **ret_message, bide_error *error);

/* A random revision, claim or copy. */
void bide_schedule_token(char to[BIDE_REVISION_TEXT]);

#endif
