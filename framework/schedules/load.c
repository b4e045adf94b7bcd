/* What a clock knows of the store: brings in what its configuration declares, and reads what there is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bide/log.h"
#include "schedules/inside.h"

enum { PAGE = 100, DIFFER_MS = 30 * 1000, DIFFER_LASTS_MS = 90 * 1000, AGAIN_MS = 30 * 1000 };

void bide_schedules_forget(struct bide_schedules *schedules)
{
    for (size_t i = 0; i < schedules->n; i++)
        bide_schedule_clear(&schedules->rows[i].schedule);
    bide_free(schedules->rows);
    schedules->rows = NULL;
    schedules->n = 0;
}

bool bide_schedules_keep_lost(const struct bide_schedules *schedules, struct bide_scheduled *row)
{
    if (!bide_config_schedule(schedules->options.config, row->schedule.is.name))
        return false;
    *row->schedule.revision = '\0';
    return true;
}

/* ---- declaring ---- */

struct declaring {
    const struct bide_schedule_config *declared;
    int64_t now_ms;
};

/* After a change the next slot is the first one of the new definition: there is nothing to catch up. */
static bide_code declare_one(
    void *user, struct bide_schedule *schedule, enum bide_schedule_wish *ret_wish, bide_error *error)
{
    const struct declaring *declaring = user;
    struct bide_schedule next;
    if (bide_schedule_is_same(&schedule->is, declaring->declared)) {
        *ret_wish = *schedule->revision && !schedule->added ? BIDE_SCHEDULE_LEAVE : BIDE_SCHEDULE_WRITE;
        schedule->added = false;
        return BIDE_OK;
    }
    bide_code code = bide_schedule_declare(declaring->declared, declaring->now_ms, &next, error);
    if (code != BIDE_OK)
        return code;
    bide_recurrence_clear(&schedule->recurrence);
    schedule->added = false;
    schedule->is = next.is;
    schedule->recurrence = next.recurrence;
    schedule->next_ms = next.next_ms;
    *schedule->claim = '\0';
    bide_log(BIDE_LOG_INFO, "schedule changed", BIDE_STR("schedule", next.is.name));
    return BIDE_OK;
}

bide_code bide_schedules_declare(struct bide_schedules *schedules, bide_error *error)
{
    const struct bide_schedules_options *options = &schedules->options;
    struct declaring declaring = {.now_ms = bide_wall_ms(options->clock)};
    int64_t again_ms = BIDE_NEVER;
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < options->config->n_schedules && code == BIDE_OK; i++) {
        const struct bide_schedule_config *declared = declaring.declared = &options->config->schedules[i];
        bide_error why;
        code = bide_schedule_take(
            options->store, declared->name, declared, declaring.now_ms, declare_one, &declaring, &why);
        if (code == BIDE_E_DATA) { /* one that cannot be read holds up no other */
            bide_log(BIDE_LOG_ERROR, "a schedule cannot be used", BIDE_STR("why", why.text));
            again_ms = bide_mono_ms(options->clock) + AGAIN_MS;
            code = BIDE_OK;
        } else if (code != BIDE_OK) {
            bide_fail(error, code, "%s", why.text);
        }
    }
    if (code == BIDE_OK)
        schedules->declare_ms = again_ms;
    return code;
}

/* ---- reading ---- */

struct loading {
    struct bide_schedules *schedules; /* those known before */
    struct bide_schedules found;
    int64_t now_ms;
    bool failed; /* there is no memory */
};

static int compare_name(const void *name, const void *row)
{
    return strcmp(name, ((const struct bide_scheduled *)row)->schedule.is.name);
}

static int compare(const void *one, const void *other)
{
    return compare_name(((const struct bide_scheduled *)one)->schedule.is.name, other);
}

/* Among the first n, which are sorted. */
static struct bide_scheduled *find(const struct bide_schedules *schedules, size_t n, const char *name)
{
    return n ? bsearch(name, schedules->rows, n, sizeof *schedules->rows, compare_name) : NULL;
}

/* By name. A scan may visit a fact twice: one of the two stays. */
static void sort(struct bide_schedules *schedules)
{
    size_t n = 0;
    if (schedules->n > 0)
        qsort(schedules->rows, schedules->n, sizeof *schedules->rows, compare);
    for (size_t i = 0; i < schedules->n; i++) {
        if (n > 0 && compare(&schedules->rows[n - 1], &schedules->rows[i]) == 0)
            bide_schedule_clear(&schedules->rows[i].schedule);
        else
            schedules->rows[n++] = schedules->rows[i];
    }
    schedules->n = n;
}

static struct bide_scheduled *add_row(struct loading *loading)
{
    struct bide_schedules *found = &loading->found;
    if ((found->n & (found->n - 1)) == 0) { /* the room is a power of two */
        struct bide_scheduled *rows = bide_realloc(found->rows, (found->n ? 2 * found->n : 1) * sizeof *rows);
        if (!rows)
            return NULL;
        found->rows = rows;
    }
    found->rows[found->n] = (struct bide_scheduled){0};
    return &found->rows[found->n++];
}

/* Says it once. before: NULL, or what was known of it. */
static void look_ahead(
    const struct loading *loading, const struct bide_scheduled *before, struct bide_scheduled *row)
{
    row->was_ahead = !row->schedule.paused && bide_schedule_is_ahead(&row->schedule, loading->now_ms);
    if (row->was_ahead && !(before && before->was_ahead))
        bide_log(BIDE_LOG_WARN,
            "a schedule fires no more until a time that is too far away: the clock of some host was "
            "ahead, or this one's is behind; pause and resume it",
            BIDE_STR("schedule", row->schedule.is.name),
            BIDE_INT("minutes", (row->schedule.next_ms - loading->now_ms) / (60 * 1000)));
}

static void take_over(struct loading *loading, struct bide_schedule *schedule)
{
    const struct bide_scheduled *before = find(loading->schedules, loading->schedules->n, schedule->is.name);
    struct bide_scheduled *row = add_row(loading);
    if (!row) {
        loading->failed = true;
        bide_schedule_clear(schedule);
        return;
    }
    row->schedule = *schedule;
    row->seen_ms = bide_mono_ms(loading->schedules->options.clock);
    look_ahead(loading, before, row);
    if (before) {
        memcpy(row->mine, before->mine, sizeof row->mine);
        if (strcmp(before->schedule.claim, schedule->claim) == 0)
            row->seen_ms = before->seen_ms;
    }
}

/* Only those that this host's file declares, and those that were added, are fired here. */
static void visit(void *user, const struct bide_store_fact *fact)
{
    struct loading *loading = user;
    const struct bide_config *config = loading->schedules->options.config;
    bool declared = bide_config_schedule(config, fact->key) != NULL;
    struct bide_schedule schedule;
    bide_error error;
    bide_code code = bide_schedule_read(fact->key, fact->data, &schedule, &error);
    if (code == BIDE_OK && !declared && !schedule.added) {
        bide_schedule_clear(&schedule);
        return;
    }
    if (code == BIDE_OK) {
        code = bide_schedule_check(&schedule, &error);
        take_over(loading, &schedule);
    }
    if (code == BIDE_E_NOMEM)
        loading->failed = true;
    else if (code != BIDE_OK)
        bide_log(BIDE_LOG_ERROR, "a schedule cannot be used", BIDE_STR("why", error.text));
}

static void keep_lost(struct loading *loading)
{
    struct bide_schedules *before = loading->schedules;
    size_t n = loading->found.n;
    for (size_t i = 0; i < before->n && !loading->failed; i++) {
        struct bide_scheduled *row = &before->rows[i], *kept;
        if (find(&loading->found, n, row->schedule.is.name) || !bide_schedules_keep_lost(before, row))
            continue;
        kept = add_row(loading);
        loading->failed = !kept;
        if (kept) {
            *kept = *row;
            *row = (struct bide_scheduled){0};
            row->schedule.is.name = kept->schedule.is.name; /* it is looked for by name until it is freed */
        }
    }
    sort(&loading->found);
}

static bide_code load(struct bide_schedules *schedules, bide_error *error)
{
    struct loading loading = {.schedules = schedules, .now_ms = bide_wall_ms(schedules->options.clock)};
    struct bide_store_cursor cursor = {0};
    bide_code code = BIDE_OK;
    while (code == BIDE_OK && !cursor.done && !loading.failed)
        code = bide_store_scan(
            schedules->options.store, BIDE_SCHEDULES, "", PAGE, &cursor, visit, &loading, error);
    sort(&loading.found);
    if (code == BIDE_OK)
        keep_lost(&loading);
    if (code == BIDE_OK && loading.failed)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code != BIDE_OK) {
        bide_schedules_forget(&loading.found);
        return code;
    }
    bide_schedules_forget(schedules);
    schedules->rows = loading.found.rows;
    schedules->n = loading.found.n;
    return BIDE_OK;
}

/* ---- files that differ ---- */

static bide_code tell_difference(
    struct bide_schedules *schedules, const struct bide_schedule *schedule, bide_error *error)
{
    char key[BIDE_STORE_KEY_MAX + 1];
    snprintf(key, sizeof key, "%s %.200s", schedule->is.name, schedules->options.host);
    struct bide_store_operation fact = {.kind = BIDE_STORE_TURN,
        .scope = BIDE_SCHEDULES_DIFFER,
        .key = key,
        .lasts_ms = DIFFER_LASTS_MS,
        .turn = {.from = BIDE_STORE_ANY, .to = 1}};
    struct bide_store_letter letter = {.operations = &fact, .n = 1};
    bide_code code = bide_store_apply(schedules->options.store, &letter, 1, error);
    bide_store_letter_clear(&letter);
    return code;
}

static bide_code tell_differences(struct bide_schedules *schedules, bool logs, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < schedules->n && code == BIDE_OK; i++) {
        const struct bide_schedule *schedule = &schedules->rows[i].schedule;
        const struct bide_schedule_config *declared =
            bide_config_schedule(schedules->options.config, schedule->is.name);
        if (!declared || bide_schedule_is_same(declared, &schedule->is))
            continue;
        if (logs)
            bide_log(BIDE_LOG_WARN,
                "another host's file declares a schedule differently, and its definition is in use: SIGHUP "
                "here brings this one's back",
                BIDE_STR("schedule", schedule->is.name));
        code = tell_difference(schedules, schedule, error);
    }
    return code;
}

/* ---- looking ---- */

static bide_code read_mark(struct bide_schedules *schedules, char to[BIDE_REVISION_TEXT], bide_error *error)
{
    struct bide_store_operation get = {
        .kind = BIDE_STORE_GET, .scope = BIDE_SCHEDULES_CHANGED, .key = "mark"};
    struct bide_store_letter letter = {.operations = &get, .n = 1};
    bide_code code = bide_store_apply(schedules->options.store, &letter, 1, error);
    if (code == BIDE_OK)
        snprintf(
            to, BIDE_REVISION_TEXT, "%.*s", (int)get.answer.size, get.answer.data ? get.answer.data : "");
    bide_store_letter_clear(&letter);
    return code;
}

bide_code bide_schedules_look(struct bide_schedules *schedules, bide_error *error)
{
    char mark[BIDE_REVISION_TEXT];
    int64_t now_ms = bide_mono_ms(schedules->options.clock);
    bide_code code = read_mark(schedules, mark, error);
    if (code != BIDE_OK)
        return code;
    bool changed = !schedules->is_loaded || strcmp(mark, schedules->mark) != 0;
    if (changed || now_ms >= schedules->load_ms) {
        code = load(schedules, error);
        schedules->load_ms = now_ms + AGAIN_MS;
    }
    if (code == BIDE_OK)
        memcpy(schedules->mark, mark, sizeof mark);
    if (code != BIDE_OK || (!changed && now_ms < schedules->differ_ms))
        return code;
    schedules->differ_ms = now_ms + DIFFER_MS;
    return tell_differences(schedules, changed, error);
}
