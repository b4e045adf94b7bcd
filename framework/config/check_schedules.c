#include <string.h>

#include "base/alloc.h"
#include "base/names.h"
#include "base/utf8.h"
#include "calendar/recurrence.h"
#include "config/read.h"

/* Where a key stands, else its schedule. */
static const config_setting_t *place(const config_setting_t *at, const char *key)
{
    const config_setting_t *member = config_setting_get_member(at, key);
    return member ? member : at;
}

static bide_code check_times(
    const struct bide_reader *reader, const config_setting_t *at, const struct bide_schedule_config *schedule)
{
    struct bide_recurrence recurrence;
    bide_error why;
    if (!schedule->cron == !schedule->every_ms)
        return bide_reader_fail(
            reader, at, "schedule '%s' needs `cron` or `every`, one of the two", schedule->name);
    if (schedule->every_ms % 1000 != 0)
        return bide_reader_fail(
            reader, place(at, "every"), "every of schedule '%s' must be whole seconds", schedule->name);
    if (!schedule->cron && config_setting_get_member(at, "timezone"))
        return bide_reader_fail(reader, place(at, "timezone"),
            "timezone of schedule '%s': `every` counts from 1970 (UTC) and has none", schedule->name);
    bide_code code =
        bide_recurrence_read(schedule->cron, schedule->timezone, schedule->every_ms, &recurrence, &why);
    if (code == BIDE_OK)
        bide_recurrence_clear(&recurrence);
    if (code == BIDE_E_NOMEM)
        return bide_reader_nomem(reader);
    if (code != BIDE_OK)
        return bide_reader_fail(reader, place(at, strstr(why.text, "cron") == why.text ? "cron" : "timezone"),
            "schedule '%s': %s", schedule->name, why.text);
    return BIDE_OK;
}

static bide_code fill_queue(
    const struct bide_reader *reader, const struct bide_config *config, struct bide_schedule_config *schedule)
{
    const char *address = bide_config_address(config, schedule->type);
    if (!schedule->queue)
        schedule->queue = bide_strdup(address ? address : "default");
    return schedule->queue ? BIDE_OK : bide_reader_nomem(reader);
}

static bide_code check_schedule(
    const struct bide_reader *reader, const config_setting_t *at, struct bide_config *config, size_t i)
{
    struct bide_schedule_config *schedule = &config->schedules[i];
    if (bide_config_schedule(config, schedule->name) != schedule)
        return bide_reader_fail(reader, at, "schedule '%s' is listed twice", schedule->name);
    size_t size = schedule->body ? strlen(schedule->body) : 0;
    if (size > BIDE_SCHEDULE_BODY_MAX || (size && !bide_utf8_valid(schedule->body, size)))
        return bide_reader_fail(reader, place(at, "body"),
            "body of schedule '%s' must be UTF-8 of at most %d bytes", schedule->name,
            BIDE_SCHEDULE_BODY_MAX);
    bide_code code = check_times(reader, at, schedule);
    if (code == BIDE_OK)
        code = fill_queue(reader, config, schedule);
    if (code == BIDE_OK && schedule->overlap == BIDE_OVERLAP_SKIP && bide_is_topic(schedule->queue))
        return bide_reader_fail(reader, place(at, "overlap"),
            "overlap of schedule '%s': a message to a topic ends once for each subscription, so `skip` has "
            "no "
            "meaning for it",
            schedule->name);
    return code;
}

bide_code bide_config_check_schedules(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < config->n_schedules && code == BIDE_OK; i++)
        code = check_schedule(
            reader, config_setting_get_elem(config_lookup(file, "schedules"), (unsigned)i), config, i);
    return code;
}
