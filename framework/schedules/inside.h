/* schedules/inside.h: the clock's struct, for this folder. */
#ifndef BIDE_SCHEDULES_INSIDE_H
#define BIDE_SCHEDULES_INSIDE_H

#include "schedules/clock.h"
#include "schedules/facts.h"

enum { BIDE_ROUND_MAX = 64 }; /* schedules that fire in one round */

struct bide_scheduled {
    struct bide_schedule schedule; /* as it was seen last */
    char mine[BIDE_REVISION_TEXT]; /* this clock's own claim; "": none */
    int64_t seen_ms;               /* monotonic: since when the claim of another is known */
    bool is_gone;                  /* from the store */
    bool was_ahead;                /* bide_schedule_is_ahead, when it was read last */
};

struct bide_schedules {
    struct bide_schedules_options options;
    struct bide_scheduled *rows; /* in the order of their names */
    size_t n;
    size_t first;       /* the row that the next round looks at first */
    int64_t declare_ms; /* monotonic: when to bring in what the configuration declares; BIDE_NEVER: done */
    bool is_loaded;
    char mark[BIDE_REVISION_TEXT]; /* of the last change that was read */
    int64_t look_ms;               /* monotonic: when to look for changes again */
    int64_t load_ms;               /* monotonic: when to read all again, changed or not */
    int64_t differ_ms;             /* monotonic: when to say again which files differ */
};

/* ---- load.c ---- */

/* Brings the configuration's schedules into the store. One that cannot be read there is left for later. */
bide_code bide_schedules_declare(struct bide_schedules *schedules, bide_error *error);
/* Reads all schedules, if any was changed by somebody else. */
bide_code bide_schedules_look(struct bide_schedules *schedules, bide_error *error);
void bide_schedules_forget(struct bide_schedules *schedules);
/* The store has lost one that this host's file declares (it was emptied, or restored): it is written again
 * with what this clock knows, so that no slot fires twice. False: it is none of the file's. */
bool bide_schedules_keep_lost(const struct bide_schedules *schedules, struct bide_scheduled *row);

/* ---- fire.c ---- */

/* Fires what is due. *ret_wait_ms: until something else is; BIDE_NEVER. */
bide_code bide_schedules_fire(struct bide_schedules *schedules, int64_t *ret_wait_ms, bide_error *error);

#endif
