#include "schedules/schedule.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/units.h"

enum { VERSION = 1, REVISION_SIZE = BIDE_REVISION_TEXT - 1 };

static const char *const catch_ups[] = {"none", "last", "all"};
static const char *const overlaps[] = {"allow", "skip"};

void bide_schedule_token(char to[BIDE_REVISION_TEXT])
{
    snprintf(to, BIDE_REVISION_TEXT, "%016" PRIx64, bide_random_number());
}

bide_code bide_schedule_declare(const struct bide_schedule_config *declared, int64_t now_ms,
    struct bide_schedule *ret_schedule, bide_error *error)
{
    struct bide_schedule schedule = {.is = *declared};
    bide_code code = bide_recurrence_read(
        declared->cron, declared->timezone, declared->every_ms, &schedule.recurrence, error);
    if (code != BIDE_OK)
        return code;
    schedule.next_ms = bide_recurrence_next(&schedule.recurrence, now_ms);
    *ret_schedule = schedule;
    return BIDE_OK;
}

bide_code bide_schedule_check(const struct bide_schedule *schedule, bide_error *error)
{
    if (!schedule->is.cron || schedule->recurrence.zone)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_DATA,
        "schedule '%.100s' cannot fire from this machine, which lacks its time zone '%.80s' (or does not "
        "understand \"%.80s\"): install tzdata, or tzdata-legacy for old names, or declare it with another",
        schedule->is.name, schedule->is.timezone, schedule->is.cron);
}

void bide_schedule_clear(struct bide_schedule *schedule)
{
    bide_recurrence_clear(&schedule->recurrence);
    json_decref(schedule->root);
    *schedule = (struct bide_schedule){0};
}

/* ---- as text ---- */

static void add_declared(const struct bide_schedule_config *declared, struct bide_buffer *to)
{
    if (declared->cron) {
        bide_json_text(to, "cron", declared->cron);
        bide_json_text(to, "timezone", declared->timezone);
    } else {
        bide_json_int(to, "every_ms", declared->every_ms);
    }
    bide_json_text(to, "type", declared->type);
    bide_json_text(to, "queue", declared->queue);
    bide_json_text(to, "body", declared->body ? declared->body : "");
    bide_json_int(to, "jitter_ms", declared->jitter_ms);
    bide_json_text(to, "catch_up", catch_ups[declared->catch_up]);
    bide_json_text(to, "overlap", overlaps[declared->overlap]);
}

void bide_schedule_write(const struct bide_schedule *schedule, struct bide_buffer *to)
{
    bide_buffer_format(to, "%s {", schedule->revision);
    bide_json_int(to, "version", VERSION);
    add_declared(&schedule->is, to);
    bide_json_bool(to, "added", schedule->added);
    bide_json_bool(to, "paused", schedule->paused);
    bide_json_text(to, "claim", schedule->claim);
    bide_json_int(to, "next_ms", schedule->next_ms);
    bide_json_int(to, "last_ms", schedule->last_ms);
    bide_json_int(to, "fired", schedule->fired);
    bide_json_int(to, "late", schedule->late);
    bide_json_int(to, "skipped", schedule->skipped);
    bide_json_int(to, "missed", schedule->missed);
    bide_buffer_char(to, '}');
}

static bool same_text(const char *one, const char *other)
{
    return strcmp(one ? one : "", other ? other : "") == 0;
}

static bool same_times(const struct bide_schedule_config *one, const struct bide_schedule_config *other)
{
    if (one->cron && other->cron)
        return same_text(one->cron, other->cron) && same_text(one->timezone, other->timezone);
    return !one->cron && !other->cron && one->every_ms == other->every_ms;
}

bool bide_schedule_is_same(const struct bide_schedule_config *one, const struct bide_schedule_config *other)
{
    return same_times(one, other) && same_text(one->type, other->type) &&
           same_text(one->queue, other->queue) && same_text(one->body, other->body) &&
           one->jitter_ms == other->jitter_ms && one->catch_up == other->catch_up &&
           one->overlap == other->overlap;
}

void bide_schedule_add_times(const struct bide_schedule_config *declared, struct bide_buffer *to)
{
    char every[BIDE_DURATION_TEXT];
    if (declared->cron)
        bide_buffer_format(to, "%s %s", declared->cron, declared->timezone);
    else
        bide_buffer_format(to, "every %s", bide_format_duration(declared->every_ms, every));
}

/* ---- reading ---- */

/* A text of the object, which owns it, or NULL. */
static char *text_of(const json_t *root, const char *key)
{
    return (char *)(uintptr_t)json_string_value(json_object_get(root, key));
}

static int64_t number_of(const json_t *root, const char *key)
{
    return json_integer_value(json_object_get(root, key));
}

static bool read_choice(
    const json_t *root, const char *key, const char *const *choices, int n, int *ret_choice)
{
    const char *text = text_of(root, key);
    for (int i = 0; text && i < n; i++)
        if (strcmp(text, choices[i]) == 0) {
            *ret_choice = i;
            return true;
        }
    return false;
}

static bool read_declared(const json_t *root, struct bide_schedule_config *ret_declared)
{
    int catch_up, overlap;
    struct bide_schedule_config declared = {.cron = text_of(root, "cron"),
        .timezone = text_of(root, "timezone"),
        .every_ms = number_of(root, "every_ms"),
        .type = text_of(root, "type"),
        .queue = text_of(root, "queue"),
        .body = text_of(root, "body"),
        .jitter_ms = number_of(root, "jitter_ms")};
    if (number_of(root, "version") != VERSION || !declared.type || !bide_name_valid(declared.type) ||
        !declared.queue || !bide_address_valid(declared.queue) || !declared.body ||
        (declared.cron ? !declared.timezone : declared.every_ms < 1000) || declared.jitter_ms < 0 ||
        !read_choice(root, "catch_up", catch_ups, 3, &catch_up) ||
        !read_choice(root, "overlap", overlaps, 2, &overlap))
        return false;
    declared.catch_up = (enum bide_catch_up)catch_up;
    declared.overlap = (enum bide_overlap)overlap;
    *ret_declared = declared;
    return true;
}

static void read_state(const json_t *root, struct bide_schedule *schedule)
{
    const char *claim = text_of(root, "claim");
    snprintf(schedule->claim, sizeof schedule->claim, "%s", claim ? claim : "");
    schedule->added = json_is_true(json_object_get(root, "added"));
    schedule->paused = json_is_true(json_object_get(root, "paused"));
    schedule->next_ms = number_of(root, "next_ms");
    schedule->last_ms = number_of(root, "last_ms");
    schedule->fired = number_of(root, "fired");
    schedule->late = number_of(root, "late");
    schedule->skipped = number_of(root, "skipped");
    schedule->missed = number_of(root, "missed");
}

static bide_code read_root(const char *name, struct bide_schedule *schedule, bide_error *error)
{
    if (!schedule->root || !read_declared(schedule->root, &schedule->is))
        return bide_fail(error, BIDE_E_DATA,
            "what the store knows of schedule '%.100s' is not of this version, or damaged", name);
    if (json_object_set_new(schedule->root, "name", json_string(name)) != 0)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    schedule->is.name = text_of(schedule->root, "name");
    read_state(schedule->root, schedule);
    bide_code code = bide_recurrence_read(
        schedule->is.cron, schedule->is.timezone, schedule->is.every_ms, &schedule->recurrence, error);
    return code == BIDE_E_NOMEM ? code : BIDE_OK;
}

bide_code bide_schedule_read(
    const char *name, struct bide_slice data, struct bide_schedule *ret_schedule, bide_error *error)
{
    struct bide_schedule schedule = {0};
    if (data.size > REVISION_SIZE && data.bytes[REVISION_SIZE] == ' ') {
        memcpy(schedule.revision, data.bytes, REVISION_SIZE);
        schedule.root = json_loadb(
            data.bytes + BIDE_REVISION_TEXT, data.size - BIDE_REVISION_TEXT, JSON_REJECT_DUPLICATES, NULL);
    }
    bide_code code = read_root(name, &schedule, error);
    if (code == BIDE_OK)
        *ret_schedule = schedule;
    else
        bide_schedule_clear(&schedule);
    return code;
}
