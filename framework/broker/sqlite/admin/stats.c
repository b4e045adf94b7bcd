#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "broker/sqlite/admin/admin.h"

/* ---- depths ---- */

/* Returns the row of a queue and adds it where it is missing; NULL without memory. */
static struct bide_queue_stats *queue_row(struct bide_broker_stats *stats, const char *name)
{
    for (size_t i = 0; i < stats->n_queues; i++)
        if (strcmp(stats->queues[i].name, name) == 0)
            return &stats->queues[i];
    struct bide_queue_stats *grown =
        bide_realloc(stats->queues, (stats->n_queues + 1) * sizeof *stats->queues);
    if (!grown)
        return NULL;
    stats->queues = grown;
    struct bide_queue_stats *row = &stats->queues[stats->n_queues++];
    *row = (struct bide_queue_stats){.landing = BIDE_UNKNOWN_COUNT};
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

static bide_code add_configured(
    struct bide_sqlite_admin *admin, struct bide_broker_stats *stats, bide_error *error)
{
    for (size_t i = 0; i < admin->n_queues; i++)
        if (!queue_row(stats, admin->queues[i]))
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    return BIDE_OK;
}

/* Goes from one queue name to the next. Each step is one look-up in the index, so the cost does not grow with
 * the number of messages. */
static bide_code add_found(
    struct bide_sqlite_admin *admin, enum bide_sql next, struct bide_broker_stats *stats, bide_error *error)
{
    char name[BIDE_NAME_MAX + 1] = "";
    for (;;) {
        sqlite3_stmt *statement;
        bool row = false;
        bide_code code = bide_sqlite_use(&admin->file, next, &statement, error);
        if (code != BIDE_OK)
            return code;
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_TRANSIENT);
        code = bide_sqlite_step(&admin->file, statement, &row, error);
        if (code != BIDE_OK || !row)
            return code;
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        bool taken = text && strlen(text) < sizeof name && strcmp(text, name) > 0;
        if (taken)
            memcpy(name, text, strlen(text) + 1);
        sqlite3_reset(statement);
        if (!taken)
            return BIDE_OK; /* no queue of bide's has such a name */
        if (!queue_row(stats, name))
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
}

/* Sent with a due time in the past, it has been ready since it was sent. */
static void note_ready(struct bide_queue_stats *row, int64_t since_ms, int64_t now_ms)
{
    if (now_ms - since_ms > row->oldest_ready_ms)
        row->oldest_ready_ms = now_ms - since_ms;
}

/* The first in line. */
static bide_code look_at_oldest(
    struct bide_sqlite_admin *admin, struct bide_queue_stats *row, int64_t now_ms, bide_error *error)
{
    sqlite3_stmt *statement;
    bool found;
    bide_code code = bide_sqlite_use(&admin->file, BIDE_SQL_FIRST_READY, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(statement, 1, row->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, now_ms);
    code = bide_sqlite_step(&admin->file, statement, &found, error);
    if (code == BIDE_OK && found)
        note_ready(row, sqlite3_column_int64(statement, 0), now_ms);
    sqlite3_reset(statement);
    return code;
}

static bide_code count_all(
    struct bide_sqlite_admin *admin, struct bide_broker_stats *stats, int64_t now_ms, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < stats->n_queues; i++) {
        struct bide_queue_stats *row = &stats->queues[i];
        struct bide_sqlite_count count;
        code = bide_sqlite_counts_look(&admin->file, row->name, now_ms, &count, error);
        if (code == BIDE_OK)
            code = look_at_oldest(admin, row, now_ms, error);
        if (code != BIDE_OK)
            break;
        row->ready = count.ready;
        row->delayed = count.waiting - count.ready;
        row->dead = count.dead;
    }
    return code;
}

/* The table is made with the first message that is cancelled. */
static bide_code add_cancelled(
    struct bide_sqlite_admin *admin, struct bide_broker_stats *stats, bide_error *error)
{
    sqlite3_stmt *statement;
    int64_t there;
    bool row;
    bide_code code = bide_sqlite_number(
        &admin->file, "SELECT count(*) FROM sqlite_master WHERE name = '{=cancelled}'", &there, error);
    if (code != BIDE_OK || !there)
        return code;
    code = bide_sqlite_prepare(&admin->file, "SELECT queue, n FROM {cancelled}", &statement, error);
    if (code != BIDE_OK)
        return code;
    while ((code = bide_sqlite_step(&admin->file, statement, &row, error)) == BIDE_OK && row) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        struct bide_queue_stats *queue = queue_row(stats, name ? name : "");
        if (!queue) {
            code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
            break;
        }
        queue->cancelled = sqlite3_column_int64(statement, 1);
    }
    sqlite3_finalize(statement);
    return code;
}

/* ---- workers and what they hold ---- */

static bool lives(struct bide_sqlite_admin *admin, int64_t number)
{
    return bide_sqlite_lock_is_held(&admin->file.lock, bide_sqlite_worker_byte(number));
}

static bide_code add_worker(
    struct bide_broker_stats *stats, sqlite3_stmt *statement, int64_t now_ms, bide_error *error)
{
    struct bide_worker_stats *grown =
        bide_realloc(stats->workers, (stats->n_workers + 1) * sizeof *stats->workers);
    if (!grown)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    stats->workers = grown;
    struct bide_worker_stats *row = &stats->workers[stats->n_workers++];
    *row = (struct bide_worker_stats){.seen_ms = now_ms};
    snprintf(row->name, sizeof row->name, "%s:%lld", (const char *)sqlite3_column_text(statement, 1),
        (long long)sqlite3_column_int64(statement, 2));
    return BIDE_OK;
}

/* Messages that a dead worker holds count as waiting: the next worker that looks gives them back. */
static bide_code add_claims(struct bide_sqlite_admin *admin, int64_t worker, struct bide_worker_stats *holder,
    struct bide_broker_stats *stats, sqlite3_stmt *claims, int64_t now_ms, bide_error *error)
{
    const char *queue = (const char *)sqlite3_column_text(claims, 0);
    int64_t n = sqlite3_column_int64(claims, 3);
    struct bide_queue_stats *row = queue_row(stats, queue ? queue : "");
    if (!row)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (lives(admin, worker)) {
        row->in_flight += n;
        if (holder)
            holder->in_flight += n;
    } else if (sqlite3_column_int(claims, 2)) {
        row->ready += n;
        note_ready(row, sqlite3_column_int64(claims, 4), now_ms);
    } else {
        row->delayed += n;
    }
    return BIDE_OK;
}

enum { WORKERS_SHOWN = 1024 };

static bide_code list_workers(struct bide_sqlite_admin *admin, struct bide_broker_stats *stats,
    int64_t *numbers, int64_t now_ms, bide_error *error)
{
    sqlite3_stmt *workers;
    bool row;
    bide_code code = bide_sqlite_use(&admin->file, BIDE_SQL_WORKER_LIST, &workers, error);
    while (
        code == BIDE_OK && (code = bide_sqlite_step(&admin->file, workers, &row, error)) == BIDE_OK && row) {
        int64_t number = sqlite3_column_int64(workers, 0);
        if (stats->n_workers == WORKERS_SHOWN || !lives(admin, number))
            continue;
        numbers[stats->n_workers] = number;
        code = add_worker(stats, workers, now_ms, error);
    }
    return code;
}

static bide_code count_claims(
    struct bide_sqlite_admin *admin, struct bide_broker_stats *stats, int64_t now_ms, bide_error *error)
{
    int64_t numbers[WORKERS_SHOWN];
    sqlite3_stmt *claims;
    bool row;
    bide_code code = list_workers(admin, stats, numbers, now_ms, error);
    if (code == BIDE_OK)
        code = bide_sqlite_use(&admin->file, BIDE_SQL_CLAIM_COUNTS, &claims, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(claims, 1, now_ms);
    while (
        code == BIDE_OK && (code = bide_sqlite_step(&admin->file, claims, &row, error)) == BIDE_OK && row) {
        int64_t worker = sqlite3_column_int64(claims, 1);
        size_t at = 0;
        while (at < stats->n_workers && numbers[at] != worker)
            at++;
        code = add_claims(
            admin, worker, at < stats->n_workers ? &stats->workers[at] : NULL, stats, claims, now_ms, error);
    }
    return code;
}

/* ---- all of it ---- */

static bide_code gather(struct bide_sqlite_admin *admin, struct bide_broker_stats *stats, bide_error *error)
{
    int64_t now_ms = bide_wall_ms(admin->file.clock);
    bide_code code = bide_sqlite_run_one(&admin->file, BIDE_SQL_BEGIN_READ, error);
    if (code == BIDE_OK)
        code = add_found(admin, BIDE_SQL_NEXT_WAITING_QUEUE, stats, error);
    if (code == BIDE_OK)
        code = add_found(admin, BIDE_SQL_NEXT_DEAD_QUEUE, stats, error);
    if (code == BIDE_OK)
        code = count_all(admin, stats, now_ms, error);
    if (code == BIDE_OK)
        code = count_claims(admin, stats, now_ms, error);
    if (code == BIDE_OK)
        code = add_cancelled(admin, stats, error);
    bide_sqlite_rollback(&admin->file);
    for (size_t i = 0; i < stats->n_queues; i++) {
        stats->delayed_total += stats->queues[i].delayed;
        stats->queues[i].workers = stats->n_workers ? BIDE_UNKNOWN_COUNT : 0;
    }
    return code;
}

bide_code bide_sqlite_admin_stats(
    struct bide_admin *base, struct bide_broker_stats *ret_stats, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    struct bide_broker_stats stats = {0};
    bool empty;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_READ, &empty, error);
    if (code != BIDE_OK)
        return code;
    code = add_configured(admin, &stats, error);
    if (code == BIDE_OK && !empty)
        code = gather(admin, &stats, error);
    bide_sqlite_file_close(&admin->file);
    if (code == BIDE_OK)
        *ret_stats = stats;
    else
        bide_broker_stats_clear(&stats);
    return code;
}
