#include "schedules/manage.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "schedules/facts.h"

/* ---- adding ---- */

static bide_code check_added(const struct bide_schedule_config *added, bide_error *error)
{
    size_t size = strlen(added->body);
    if (!bide_name_valid(added->name))
        return bide_fail(
            error, BIDE_E_USAGE, "'%.100s' is no name for a schedule: %s", added->name, BIDE_NAME_RULE);
    if (!bide_name_valid(added->type) || !bide_address_valid(added->queue))
        return bide_fail(error, BIDE_E_USAGE, "'%.100s' is no type, or '%.100s' no queue: %s", added->type,
            added->queue, BIDE_NAME_RULE);
    if (added->overlap == BIDE_OVERLAP_SKIP && bide_is_topic(added->queue))
        return bide_fail(error, BIDE_E_USAGE,
            "--overlap skip: a message to a topic ends once for each subscription, so this has no meaning "
            "for "
            "it");
    if (!added->cron && (added->every_ms < 1000 || added->every_ms % 1000 != 0))
        return bide_fail(error, BIDE_E_USAGE, "every: whole seconds, one at least");
    if (size > BIDE_SCHEDULE_BODY_MAX || !bide_utf8_valid(added->body, size))
        return bide_fail(
            error, BIDE_E_USAGE, "the body must be UTF-8 of at most %d bytes", BIDE_SCHEDULE_BODY_MAX);
    return BIDE_OK;
}

static bide_code add(
    void *user, struct bide_schedule *schedule, enum bide_schedule_wish *ret_wish, bide_error *error)
{
    (void)user, (void)ret_wish;
    if (*schedule->revision)
        return bide_fail(error, BIDE_E_DATA, "there is a schedule '%s' already", schedule->is.name);
    schedule->added = true;
    return BIDE_OK;
}

bide_code bide_schedule_add(
    struct bide_store *store, const struct bide_schedule_config *added, int64_t now_ms, bide_error *error)
{
    bide_code code = check_added(added, error);
    return code == BIDE_OK ? bide_schedule_take(store, added->name, added, now_ms, add, NULL, error) : code;
}

/* ---- removing, pausing ---- */

static bide_code check_name(const char *name, bide_error *error)
{
    return bide_name_valid(name) ? BIDE_OK
                                 : bide_fail(error, BIDE_E_NOT_FOUND, "there is no schedule '%.100s'", name);
}

static bide_code remove_it(
    void *user, struct bide_schedule *schedule, enum bide_schedule_wish *ret_wish, bide_error *error)
{
    (void)user, (void)schedule, (void)error;
    *ret_wish = BIDE_SCHEDULE_REMOVE;
    return BIDE_OK;
}

bide_code bide_schedule_remove(
    struct bide_store *store, const struct bide_config *config, const char *name, bide_error *error)
{
    bide_code code = check_name(name, error);
    if (code == BIDE_OK && bide_config_schedule(config, name))
        return bide_fail(error, BIDE_E_DATA,
            "schedule '%s' stands in %s: remove it there and send SIGHUP to the workers, or `bide cron pause "
            "%s`",
            name, config->path, name);
    if (code != BIDE_OK)
        return code;
    code = bide_schedule_take(store, name, NULL, 0, remove_it, NULL, error);
    return code == BIDE_E_DATA ? bide_schedule_erase(store, name, error) : code;
}

struct pausing {
    bool pauses;
    int64_t now_ms;
};

/* One that is resumed goes on with the next slot, also where a clock that was ahead has moved it too far.
 * What a clock has claimed, it has about sent: the claim stays while it is paused. */
static bide_code pause_it(
    void *user, struct bide_schedule *schedule, enum bide_schedule_wish *ret_wish, bide_error *error)
{
    const struct pausing *pausing = user;
    bool resumes = schedule->paused && !pausing->pauses;
    (void)ret_wish;
    bide_code code = resumes ? bide_schedule_check(schedule, error) : BIDE_OK;
    if (code != BIDE_OK)
        return code;
    if (resumes &&
        (schedule->next_ms <= pausing->now_ms || bide_schedule_is_ahead(schedule, pausing->now_ms))) {
        schedule->next_ms = bide_recurrence_next(&schedule->recurrence, pausing->now_ms);
        *schedule->claim = '\0';
    }
    schedule->paused = pausing->pauses;
    return BIDE_OK;
}

bide_code bide_schedule_pause(struct bide_store *store, const struct bide_config *config, const char *name,
    bool pauses, int64_t now_ms, bide_error *error)
{
    struct pausing pausing = {pauses, now_ms};
    bide_code code = check_name(name, error);
    if (code != BIDE_OK)
        return code;
    return bide_schedule_take(
        store, name, bide_config_schedule(config, name), now_ms, pause_it, &pausing, error);
}

/* ---- running ---- */

/* Slots are whole seconds: no slot has the id of this message. */
static int64_t beside_slots(int64_t now_ms)
{
    return now_ms % 1000 == 0 ? now_ms + 1 : now_ms;
}

static bide_code send_now(const struct bide_schedule_config *declared, int64_t now_ms,
    bide_producer *producer, char ret_id[BIDE_ID_MAX + 1], bide_error *error)
{
    struct bide_schedule_config at_once = *declared;
    bide_message *message;
    at_once.jitter_ms = 0;
    bide_code code = bide_schedule_message(&at_once, beside_slots(now_ms), &message, error);
    if (code != BIDE_OK)
        return code;
    code = bide_producer_send(producer, message, error);
    if (code == BIDE_OK && *bide_message_duplicate_of(message))
        code = bide_fail(error, BIDE_E_DATA,
            "schedule '%s' must not overlap, and its message %s has not ended: not sent", declared->name,
            bide_message_duplicate_of(message));
    if (code == BIDE_OK)
        snprintf(ret_id, BIDE_ID_MAX + 1, "%s", bide_message_id(message));
    bide_message_destroy(message);
    return code;
}

bide_code bide_schedule_run(struct bide_store *store, const struct bide_config *config, const char *name,
    int64_t now_ms, bide_producer *producer, char ret_id[BIDE_ID_MAX + 1], bide_error *error)
{
    const struct bide_schedule_config *declared = bide_config_schedule(config, name);
    struct bide_schedule schedule = {0};
    bide_code code = check_name(name, error);
    if (code == BIDE_OK)
        code = bide_schedule_get(store, name, &schedule, error);
    if (code == BIDE_E_NOT_FOUND && declared) /* no clock has begun with it yet */
        return send_now(declared, now_ms, producer, ret_id, error);
    if (code == BIDE_OK)
        code = send_now(&schedule.is, now_ms, producer, ret_id, error);
    bide_schedule_clear(&schedule);
    return code;
}
