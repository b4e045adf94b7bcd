/* What is to be done with a schedule now, and the messages of its slots. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "schedules/schedule.h"

/* ---- slots ---- */

/* How many slots lie in from_ms … before until_ms, where from_ms is one. */
static int64_t count_slots(const struct bide_schedule *schedule, int64_t from_ms, int64_t until_ms)
{
    int64_t n = 0;
    if (schedule->recurrence.every_ms && from_ms < until_ms)
        return (until_ms - from_ms - 1) / schedule->recurrence.every_ms + 1;
    for (; from_ms < until_ms && n < BIDE_MISSED_MAX; n++)
        from_ms = bide_recurrence_next(&schedule->recurrence, from_ms);
    return n;
}

/* The first slot that fires, of those that were missed: `next_ms` is too long ago. */
static int64_t first_after_outage(const struct bide_schedule *schedule, int64_t now_ms)
{
    int64_t always_ms = bide_recurrence_next(&schedule->recurrence, now_ms - BIDE_ALWAYS_FIRES_MS - 1);
    if (schedule->is.catch_up == BIDE_CATCH_UP_ALL)
        return schedule->next_ms;
    if (schedule->is.catch_up == BIDE_CATCH_UP_LAST && always_ms > now_ms)
        return bide_recurrence_last(&schedule->recurrence, schedule->next_ms, now_ms);
    return always_ms;
}

/* One that must not overlap is decided upon at its time, and alone. */
static void take_slots(
    const struct bide_schedule *schedule, int64_t until_ms, struct bide_schedule_plan *plan)
{
    size_t most = schedule->is.overlap == BIDE_OVERLAP_SKIP ? 1 : BIDE_SLOTS_AT_ONCE;
    for (; plan->next_ms <= until_ms && plan->n < most;
         plan->next_ms = bide_recurrence_next(&schedule->recurrence, plan->next_ms))
        plan->slots_ms[plan->n++] = plan->next_ms;
}

void bide_schedule_plan(
    const struct bide_schedule *schedule, int64_t now_ms, struct bide_schedule_plan *ret_plan)
{
    int64_t ahead_ms = schedule->is.overlap == BIDE_OVERLAP_SKIP ? 0 : BIDE_FIRES_AHEAD_MS;
    struct bide_schedule_plan *plan = ret_plan;
    plan->does = BIDE_SCHEDULE_WAITS;
    plan->at_ms = BIDE_NEVER;
    plan->missed = 0;
    plan->n = 0;
    plan->next_ms = schedule->next_ms;
    if (schedule->paused || schedule->next_ms == BIDE_NEVER || bide_schedule_check(schedule, NULL) != BIDE_OK)
        return;
    if (schedule->next_ms - ahead_ms > now_ms) {
        plan->at_ms = schedule->next_ms - ahead_ms;
        return;
    }
    if (schedule->next_ms < now_ms - BIDE_ALWAYS_FIRES_MS)
        plan->next_ms = first_after_outage(schedule, now_ms);
    plan->missed = count_slots(schedule, schedule->next_ms, plan->next_ms);
    take_slots(schedule, now_ms + ahead_ms, plan);
    plan->does = plan->n > 0 ? BIDE_SCHEDULE_FIRES : BIDE_SCHEDULE_MOVES;
}

bool bide_schedule_is_ahead(const struct bide_schedule *schedule, int64_t now_ms)
{
    return bide_schedule_check(schedule, NULL) == BIDE_OK &&
           schedule->next_ms > bide_recurrence_next(&schedule->recurrence, now_ms + BIDE_ALWAYS_FIRES_MS);
}

/* ---- messages ---- */

/* The same whoever sends it, so that two copies are due at the same time. */
static int64_t jitter_ms(const struct bide_schedule_config *declared, const char *id)
{
    return declared->jitter_ms ? bide_hash_text(id) % (declared->jitter_ms + 1) : 0;
}

static bide_code add_marks(
    bide_message *message, const struct bide_schedule_config *declared, int64_t slot_ms, bide_error *error)
{
    char slot[32], copy[BIDE_REVISION_TEXT];
    snprintf(slot, sizeof slot, "%" PRId64, slot_ms);
    bide_schedule_token(copy);
    bide_code code = bide_message_set_mark(message, BIDE_SCHEDULE_HEADER, declared->name, error);
    if (code == BIDE_OK)
        code = bide_message_set_mark(message, BIDE_SLOT_HEADER, slot, error);
    return code == BIDE_OK ? bide_message_set_mark(message, BIDE_COPY_HEADER, copy, error) : code;
}

static bide_code fill(
    bide_message *message, const struct bide_schedule_config *declared, int64_t slot_ms, bide_error *error)
{
    char id[BIDE_ID_MAX + 1], key[BIDE_NAME_MAX + 16];
    snprintf(id, sizeof id, "%s@%" PRId64, declared->name, slot_ms);
    snprintf(key, sizeof key, "schedule:%s", declared->name);
    bide_code code = bide_message_set_id(message, id, error);
    if (code == BIDE_OK)
        code = bide_message_set_queue(message, declared->queue, error);
    if (code == BIDE_OK && declared->body)
        code = bide_message_set_body(message, declared->body, strlen(declared->body), error);
    if (code == BIDE_OK)
        code = bide_message_set_due_ms(message, slot_ms + jitter_ms(declared, id), error);
    if (code == BIDE_OK && declared->overlap == BIDE_OVERLAP_SKIP)
        code = bide_message_set_unique(message, key, error);
    return code == BIDE_OK ? add_marks(message, declared, slot_ms, error) : code;
}

bide_code bide_schedule_message(const struct bide_schedule_config *declared, int64_t slot_ms,
    bide_message **ret_message, bide_error *error)
{
    bide_message *message;
    bide_code code = bide_message_create(declared->type, &message, error);
    if (code != BIDE_OK)
        return code;
    code = fill(message, declared, slot_ms, error);
    if (code == BIDE_OK)
        *ret_message = message;
    else
        bide_message_destroy(message);
    return code;
}
