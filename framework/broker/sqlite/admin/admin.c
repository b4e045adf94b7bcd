#include "broker/sqlite/admin/admin.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bide/log.h"
#include "broker/sqlite/schema.h"
#include "broker/sqlite/sqlite.h"

/* Fails where the folder is missing or this user may not look into it: then there can be no database file
 * that a sender or worker could have made. */
static bide_code check_folder(const char *path, int why, bide_error *error)
{
    char folder[PATH_MAX];
    struct stat status;
    snprintf(folder, sizeof folder, "%s", path);
    if (why == ENOENT && stat(dirname(folder), &status) == 0 && S_ISDIR(status.st_mode))
        return BIDE_OK;
    return bide_fail(error, BIDE_E_BROKER,
        "%s: there can be no database (%s): its folder must exist, and this user must be able to look into "
        "it",
        path, strerror(why));
}

/* Logs the missing file once: the commands that only look go on as with an empty database. */
static void say_missing(struct bide_sqlite_admin *admin)
{
    if (!admin->said_missing)
        bide_log(BIDE_LOG_WARN, "the database does not exist yet: the first message makes it",
            BIDE_STR("file", admin->file.path));
    admin->said_missing = true;
}

bide_code bide_sqlite_admin_open(
    struct bide_sqlite_admin *admin, enum bide_sqlite_access access_kind, bool *ret_empty, bide_error *error)
{
    bide_error failure;
    if (access(admin->file.path, F_OK) != 0) {
        *ret_empty = true;
        if (access_kind == BIDE_SQLITE_LOOK) /* verify reports on the folder itself */
            return BIDE_OK;
        bide_code code = check_folder(admin->file.path, errno, error);
        if (code == BIDE_OK)
            say_missing(admin);
        return code;
    }
    bide_code code = bide_sqlite_file_open(&admin->file, access_kind, admin->timeout_us, &failure);
    *ret_empty = code == BIDE_E_NOT_FOUND;
    if (code == BIDE_OK || code == BIDE_E_NOT_FOUND)
        return BIDE_OK;
    return bide_fail(error, code, "%s", failure.text);
}

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

static bide_code no_memory(bide_error *error)
{
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static bide_code add_configured(
    struct bide_sqlite_admin *admin, struct bide_broker_stats *stats, bide_error *error)
{
    for (size_t i = 0; i < admin->n_queues; i++)
        if (!queue_row(stats, admin->queues[i]))
            return no_memory(error);
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
            return no_memory(error);
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
            code = no_memory(error);
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
        return no_memory(error);
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
        return no_memory(error);
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

/* ---- the contract ---- */

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

static bide_code admin_stats(struct bide_admin *base, struct bide_broker_stats *ret_stats, bide_error *error)
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

static bide_code admin_same_place(
    struct bide_admin *base, struct bide_admin *other_base, bool *ret_same, bide_error *error)
{
    const struct bide_sqlite_file *file = &((struct bide_sqlite_admin *)base)->file;
    const struct bide_sqlite_file *other = &((struct bide_sqlite_admin *)other_base)->file;
    struct stat one, two;
    (void)error;
    bool same_file = strcmp(file->path, other->path) == 0 ||
                     (stat(file->path, &one) == 0 && stat(other->path, &two) == 0 &&
                         one.st_dev == two.st_dev && one.st_ino == two.st_ino);
    *ret_same = same_file && strcmp(file->name_space, other->name_space) == 0;
    return BIDE_OK;
}

static bide_code admin_erase(struct bide_admin *base, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    bool empty;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_WRITE, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    code = bide_sqlite_schema_drop(&admin->file, error);
    bide_sqlite_file_close(&admin->file);
    return code;
}

static void admin_destroy(struct bide_admin *base)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    bide_sqlite_file_clear(&admin->file);
    for (size_t i = 0; i < admin->n_queues; i++)
        bide_free(admin->queues[i]);
    bide_free(admin->queues);
    bide_free(admin->client_name);
    bide_free(admin);
}

static const struct bide_admin_ops admin_ops = {
    .stats = admin_stats,
    .dead_each = bide_sqlite_dead_each,
    .dead_retry = bide_sqlite_dead_retry,
    .dead_drop = bide_sqlite_dead_drop,
    .dead_trim = bide_sqlite_dead_trim,
    .find = bide_sqlite_find,
    .change = bide_sqlite_change,
    .export_each = bide_sqlite_export_each,
    .dead_add = bide_sqlite_dead_add,
    .same_place = admin_same_place,
    .verify = bide_sqlite_verify,
    .join = bide_sqlite_admin_join,
    .leave = bide_sqlite_admin_leave,
    .subscriptions = bide_sqlite_admin_subscriptions,
    .erase = admin_erase,
    .destroy = admin_destroy,
};

static bide_code copy_texts(
    struct bide_sqlite_admin *admin, const struct bide_broker_options *options, bide_error *error)
{
    admin->client_name = bide_strdup(options->client_name ? options->client_name : "bide");
    admin->queues = bide_calloc(options->n_queues ? options->n_queues : 1, sizeof *admin->queues);
    if (!admin->queues || !admin->client_name)
        return no_memory(error);
    for (size_t i = 0; i < options->n_queues; i++) {
        admin->queues[i] = bide_strdup(options->queues[i]);
        if (!admin->queues[i])
            return no_memory(error);
        admin->n_queues++;
    }
    return BIDE_OK;
}

bide_code bide_sqlite_open_admin(
    const struct bide_broker_options *options, struct bide_admin **ret_admin, bide_error *error)
{
    struct bide_sqlite_admin *admin = bide_calloc(1, sizeof *admin);
    if (!admin)
        return no_memory(error);
    admin->base.ops = &admin_ops;
    admin->timeout_us = options->timeout_ms * 1000;
    bide_code code = copy_texts(admin, options, error);
    if (code == BIDE_OK)
        code = bide_sqlite_file_init(&admin->file, options, error);
    if (code != BIDE_OK) {
        admin_destroy(&admin->base);
        return code;
    }
    *ret_admin = &admin->base;
    return BIDE_OK;
}
