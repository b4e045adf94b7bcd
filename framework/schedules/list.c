#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "schedules/facts.h"
#include "schedules/manage.h"

enum { PAGE = 100 };

struct listing {
    struct bide_schedule_list list;
    const struct bide_config *config;
    bide_code code;
    bide_error error;
};

static int compare_name(const void *name, const void *row)
{
    return strcmp(name, ((const struct bide_schedule_row *)row)->schedule.is.name);
}

static int compare(const void *one, const void *other)
{
    return compare_name(((const struct bide_schedule_row *)one)->schedule.is.name, other);
}

/* Among the first n, which are sorted. */
static struct bide_schedule_row *find(const struct bide_schedule_list *list, size_t n, const char *name)
{
    return n ? bsearch(name, list->rows, n, sizeof *list->rows, compare_name) : NULL;
}

/* By name. A scan may visit a fact twice: one of the two stays. */
static void sort(struct bide_schedule_list *list)
{
    size_t n = 0;
    if (list->n > 0)
        qsort(list->rows, list->n, sizeof *list->rows, compare);
    for (size_t i = 0; i < list->n; i++) {
        if (n > 0 && compare(&list->rows[n - 1], &list->rows[i]) == 0)
            bide_schedule_clear(&list->rows[i].schedule);
        else
            list->rows[n++] = list->rows[i];
    }
    list->n = n;
}

/* Takes the schedule over, also without memory. */
static void add_row(struct listing *listing, struct bide_schedule *schedule, bool is_stored)
{
    struct bide_schedule_list *list = &listing->list;
    if ((list->n & (list->n - 1)) == 0) { /* the room is a power of two */
        struct bide_schedule_row *rows = bide_realloc(list->rows, (list->n ? 2 * list->n : 1) * sizeof *rows);
        if (!rows) {
            listing->code = bide_fail(&listing->error, BIDE_E_NOMEM, "out of memory");
            bide_schedule_clear(schedule);
            return;
        }
        list->rows = rows;
    }
    list->rows[list->n++] = (struct bide_schedule_row){.schedule = *schedule,
        .is_stored = is_stored,
        .is_declared = bide_config_schedule(listing->config, schedule->is.name) != NULL};
}

static void visit_schedule(void *user, const struct bide_store_fact *fact)
{
    struct listing *listing = user;
    struct bide_schedule schedule;
    bide_error error;
    if (listing->code != BIDE_OK)
        return;
    bide_code code = bide_schedule_read(fact->key, fact->data, &schedule, &error);
    if (code == BIDE_OK)
        add_row(listing, &schedule, true);
    else if (code == BIDE_E_NOMEM) /* one that cannot be read, clocks complain of */
        listing->code = bide_fail(&listing->error, code, "%s", error.text);
}

/* Its key is "NAME HOST". */
static void visit_difference(void *user, const struct bide_store_fact *fact)
{
    struct listing *listing = user;
    char name[BIDE_NAME_MAX + 1];
    size_t size = strcspn(fact->key, " ");
    snprintf(name, sizeof name, "%.*s", (int)size, fact->key);
    struct bide_schedule_row *row = find(&listing->list, listing->list.n, name);
    if (listing->code != BIDE_OK || !row || !fact->key[size])
        return;
    const char *host = fact->key + size + 1;
    char *both = bide_asprintf("%s%s%s", row->differ ? row->differ : "", row->differ ? ", " : "", host);
    if (!both) {
        listing->code = bide_fail(&listing->error, BIDE_E_NOMEM, "out of memory");
        return;
    }
    bide_free(row->differ);
    row->differ = both;
}

static bide_code scan(struct listing *listing, struct bide_store *store, const char *scope,
    bide_store_visit *visit, bide_error *error)
{
    struct bide_store_cursor cursor = {0};
    bide_code code = BIDE_OK;
    while (code == BIDE_OK && !cursor.done && listing->code == BIDE_OK)
        code = bide_store_scan(store, scope, "", PAGE, &cursor, visit, listing, error);
    return code == BIDE_OK && listing->code != BIDE_OK
               ? bide_fail(error, listing->code, "%s", listing->error.text)
               : code;
}

static bide_code add_declared(struct listing *listing, int64_t now_ms, bide_error *error)
{
    const struct bide_config *config = listing->config;
    size_t n = listing->list.n;
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < config->n_schedules && code == BIDE_OK; i++) {
        struct bide_schedule schedule;
        const struct bide_schedule_config *declared = &config->schedules[i];
        if (find(&listing->list, n, declared->name))
            continue;
        code = bide_schedule_declare(declared, now_ms, &schedule, error);
        if (code == BIDE_OK)
            add_row(listing, &schedule, false);
    }
    sort(&listing->list);
    return code == BIDE_OK && listing->code != BIDE_OK
               ? bide_fail(error, listing->code, "%s", listing->error.text)
               : code;
}

bide_code bide_schedule_list_take(struct bide_store *store, const struct bide_config *config, int64_t now_ms,
    struct bide_schedule_list *ret_list, bide_error *error)
{
    struct listing listing = {.config = config};
    bide_code code = scan(&listing, store, BIDE_SCHEDULES, visit_schedule, error);
    sort(&listing.list);
    if (code == BIDE_OK)
        code = add_declared(&listing, now_ms, error);
    if (code == BIDE_OK)
        code = scan(&listing, store, BIDE_SCHEDULES_DIFFER, visit_difference, error);
    if (code != BIDE_OK) {
        bide_schedule_list_clear(&listing.list);
        return code;
    }
    *ret_list = listing.list;
    return BIDE_OK;
}

void bide_schedule_list_clear(struct bide_schedule_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        bide_schedule_clear(&list->rows[i].schedule);
        bide_free(list->rows[i].differ);
    }
    bide_free(list->rows);
    *list = (struct bide_schedule_list){0};
}

/* ---- a row ---- */

const char *bide_schedule_row_state(const struct bide_schedule_row *row, int64_t now_ms)
{
    if (row->schedule.paused)
        return "paused";
    if (bide_schedule_check(&row->schedule, NULL) != BIDE_OK)
        return "unusable";
    if (bide_schedule_is_ahead(&row->schedule, now_ms))
        return "ahead";
    return row->is_stored ? "active" : "new";
}

bool bide_schedule_row_is_ours(const struct bide_schedule_row *row)
{
    return row->is_declared || row->schedule.added;
}

int64_t bide_schedule_overdue_ms(const struct bide_schedule_row *row, int64_t now_ms)
{
    const struct bide_schedule *schedule = &row->schedule;
    bool waits = schedule->paused || schedule->next_ms >= now_ms || !row->is_stored;
    return waits || !bide_schedule_row_is_ours(row) ? 0 : now_ms - schedule->next_ms;
}

/* Null where there is none. */
static void add_instant(struct bide_buffer *to, const char *name, int64_t ms)
{
    bide_json_count(to, name, ms > 0 && ms != BIDE_NEVER ? ms : -1);
}

void bide_schedule_row_report(const struct bide_schedule_row *row, int64_t now_ms, struct bide_buffer *to)
{
    const struct bide_schedule *schedule = &row->schedule;
    struct bide_buffer times;
    bide_buffer_init(&times);
    bide_schedule_add_times(&schedule->is, &times);
    bide_json_text(to, "name", schedule->is.name);
    bide_json_text(to, "state", bide_schedule_row_state(row, now_ms));
    bide_json_text(to, "times", times.bytes);
    bide_json_text(to, "type", schedule->is.type);
    bide_json_text(to, "queue", schedule->is.queue);
    add_instant(to, "next_ms", schedule->next_ms);
    add_instant(to, "last_ms", schedule->last_ms);
    bide_json_int(to, "overdue_ms", bide_schedule_overdue_ms(row, now_ms));
    bide_json_int(to, "fired", schedule->fired);
    bide_json_int(to, "late", schedule->late);
    bide_json_int(to, "skipped", schedule->skipped);
    bide_json_int(to, "missed", schedule->missed);
    bide_json_text(to, "from", schedule->added ? "added" : row->is_declared ? "file" : "another file");
    bide_json_text(to, "differ", row->differ);
    bide_buffer_release(&times);
}
