/* schedules/facts.h: schedules in the store.
 *
 *   scope "schedules"            a fact a schedule: schedule.h
 *   scope "schedules-changed"    one fact, another text after each change but a clock's own: clocks read
 *                                the schedules again
 *   scope "schedules-differ"     a fact "NAME HOST" for each host whose file declares a schedule
 *                                differently; lapses by itself
 *
 * Changes are made by looking at a schedule, and writing the next one if it is still the same; else again.
 * One thread at a time, as the store. */
#ifndef BIDE_SCHEDULES_FACTS_H
#define BIDE_SCHEDULES_FACTS_H

#include "schedules/schedule.h"
#include "store/store.h"

#define BIDE_SCHEDULES "schedules"
#define BIDE_SCHEDULES_CHANGED "schedules-changed"
#define BIDE_SCHEDULES_DIFFER "schedules-differ"

enum { BIDE_SCHEDULE_OPERATIONS = 2 };

/* One letter that changes a schedule. Borrowed by its operations: do not move it. */
struct bide_schedule_change {
    struct bide_store_letter letter;
    struct bide_store_operation operations[BIDE_SCHEDULE_OPERATIONS];
    char before[BIDE_REVISION_TEXT], mark[BIDE_REVISION_TEXT];
    struct bide_buffer text;
};

void bide_schedule_change_init(struct bide_schedule_change *change);
void bide_schedule_change_clear(struct bide_schedule_change *change);
/* The schedule that has the revision `before` ("": there is none) becomes *next, which gets a new revision.
 * next NULL: it is removed. tells: clocks are to read the schedules again. BIDE_E_NOMEM. */
bide_code bide_schedule_change_write(struct bide_schedule_change *change, const char *name,
    const char before[BIDE_REVISION_TEXT], struct bide_schedule *next, bool tells, bide_error *error);
/* After it was applied: was it changed? Else see `answer` of the first operation. */
bool bide_schedule_changed(const struct bide_schedule_change *change);

/* The fact of a schedule as a letter's answer has it: BIDE_E_NOT_FOUND where there is none; else as
 * bide_schedule_read. */
bide_code bide_schedule_of_answer(const char *name, const struct bide_store_answer *answer,
    struct bide_schedule *ret_schedule, bide_error *error);
bide_code bide_schedule_get(
    struct bide_store *store, const char *name, struct bide_schedule *ret_schedule, bide_error *error);

/* Removes one whatever its fact says, also where it cannot be read. */
bide_code bide_schedule_erase(struct bide_store *store, const char *name, bide_error *error);

/* What somebody asks for. *schedule is what there is, and becomes what is to be written. Not BIDE_OK: nothing
 * changes. */
enum bide_schedule_wish { BIDE_SCHEDULE_WRITE, BIDE_SCHEDULE_REMOVE, BIDE_SCHEDULE_LEAVE };
typedef bide_code bide_schedule_step(
    void *user, struct bide_schedule *schedule, enum bide_schedule_wish *ret_wish, bide_error *error);
/* Takes the step with the schedule of a name. declared: what stands for one that is not in the store yet, or
 * NULL: BIDE_E_NOT_FOUND then. */
bide_code bide_schedule_take(struct bide_store *store, const char *name,
    const struct bide_schedule_config *declared, int64_t now_ms, bide_schedule_step *step, void *user,
    bide_error *error);

#endif
