/* Cancelling and rescheduling what waits. The messages that the selection means are first chosen into a
 * temporary table and then handled in small transactions, as dead letters are (dead.c). A message waits as
 * long as its row in `waiting` is there; a worker that claims it deletes that row, so exactly one of the two
 * gets it.
 *
 * An index on the ids would cost every message (docs/decisions/0036): it is made when ids are first asked
 * for.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "broker/sqlite/admin/admin.h"
#include "broker/sqlite/workers.h"

enum { BATCH = 500, GENERATION_TEXT = 32 };

/* What one transaction has done, to be reported once it is final. */
struct outcome {
    char id[BIDE_ID_MAX + 1], unique[BIDE_UNIQUE_MAX + 1], generation[GENERATION_TEXT];
    bide_fate fate;
};

struct work {
    struct bide_sqlite_admin *admin;
    struct bide_sqlite_file *file;
    const struct bide_change *change;
    sqlite3_stmt *next, *count;
    int64_t after; /* row chosen last */
    uint64_t done, total;
    bool more;
    size_t n;
    struct outcome outcomes[BATCH];
};

/* ---- what is needed at first use ---- */

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS {cancelled}(queue TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID";
static const char index_of_ids[] = "CREATE INDEX IF NOT EXISTS {message_id} ON {message}(id)";

/* Reads first: most times there is nothing to make. */
static bide_code make(struct work *work, const char *look, const char *sql, bide_error *error)
{
    int64_t there;
    bide_code code = bide_sqlite_number(work->file, look, &there, error);
    if (code != BIDE_OK || there)
        return code;
    code = bide_sqlite_begin(work->file, true, work->admin->timeout_us, error);
    return code == BIDE_OK ? bide_sqlite_end(work->file, bide_sqlite_exec(work->file, sql, error), error)
                           : code;
}

static bide_code make_all(struct work *work, bool by_id, bide_error *error)
{
    bide_code code =
        make(work, "SELECT count(*) FROM sqlite_master WHERE name = '{=cancelled}'", tables, error);
    if (code == BIDE_OK && by_id)
        code = make(
            work, "SELECT count(*) FROM sqlite_master WHERE name = '{=message_id}'", index_of_ids, error);
    return code;
}

/* ---- choosing ---- */

static bide_code choose_by(
    struct work *work, const char *id, const bide_selection *selection, sqlite3_stmt *add, bide_error *error)
{
    const char *const values[] = {id, selection->type, selection->queue};
    for (int i = 0; i < 3; i++)
        if (values[i])
            sqlite3_bind_text(add, i + 1, values[i], -1, SQLITE_STATIC);
    return bide_sqlite_run(work->file, add, error);
}

static bide_code choose(struct work *work, const bide_selection *selection, bide_error *error)
{
    static const char all[] =
        "INSERT OR IGNORE INTO temp.chosen SELECT seq, id FROM {message} WHERE ?1 IS NULL AND "
        "(?2 IS NULL OR type = ?2) AND (?3 IS NULL OR queue = ?3)";
    static const char by_id[] =
        "INSERT OR IGNORE INTO temp.chosen SELECT seq, id FROM {message} WHERE id = ?1 AND "
        "(?2 IS NULL OR type = ?2) AND (?3 IS NULL OR queue = ?3)";
    sqlite3_stmt *add;
    int64_t total = 0;
    bide_code code =
        bide_sqlite_exec(work->file, "CREATE TEMP TABLE chosen(seq INTEGER PRIMARY KEY, id TEXT)", error);
    if (code == BIDE_OK)
        code = bide_sqlite_prepare(work->file, selection->n_ids ? by_id : all, &add, error);
    if (code != BIDE_OK)
        return code;
    if (selection->n_ids == 0)
        code = choose_by(work, NULL, selection, add, error);
    for (size_t i = 0; code == BIDE_OK && i < selection->n_ids; i++)
        code = choose_by(work, selection->ids[i], selection, add, error);
    sqlite3_finalize(add);
    if (code == BIDE_OK)
        code = bide_sqlite_number(work->file, "SELECT count(*) FROM temp.chosen", &total, error);
    work->total = (uint64_t)total;
    return code;
}

/* ---- changing, within a transaction ---- */

enum { SEQ, ID, QUEUE, DUE_MS, EXPIRES_MS, UNIQUE, GENERATION };

static const char next_chosen[] =
    "SELECT m.seq, m.id, m.queue, m.due_ms, coalesce(m.expires_ms, 0), m.\"unique\", m.generation "
    "FROM temp.chosen c CROSS JOIN {message} m ON m.seq = c.seq AND m.id = c.id WHERE c.seq > ?1 ORDER BY "
    "c.seq LIMIT 1";
static const char count_cancelled[] =
    "INSERT INTO {cancelled} VALUES(?1, 1) ON CONFLICT(queue) DO UPDATE SET n = n + 1";

/* A message as it stands in the file. */
struct standing {
    int64_t seq, due_ms, expires_ms;
    char queue[BIDE_NAME_MAX + 1];
    bool no_queue; /* the queue's name is not one: nobody serves it */
};

/* Takes it out of the line. *ret_left: it stood there, else a worker has it. */
static bide_code leave_line(
    struct work *work, const struct standing *standing, bool *ret_left, bide_error *error)
{
    sqlite3_stmt *leave;
    bide_code code = bide_sqlite_use(work->file, BIDE_SQL_LEAVE, &leave, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(leave, 1, standing->queue, -1, SQLITE_STATIC);
    sqlite3_bind_int64(leave, 2, standing->due_ms);
    sqlite3_bind_int64(leave, 3, standing->seq);
    code = bide_sqlite_run(work->file, leave, error);
    if (code != BIDE_OK)
        return code;
    *ret_left = sqlite3_changes(work->file->db) > 0;
    return *ret_left
               ? bide_sqlite_count_left(work->file, standing->queue, standing->due_ms, standing->seq, error)
               : BIDE_OK;
}

static bide_code cancel(struct work *work, const struct standing *standing, bide_error *error)
{
    sqlite3_stmt *remove;
    bide_code code = bide_sqlite_use(work->file, BIDE_SQL_DELETE_MESSAGE, &remove, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(remove, 1, standing->seq);
    code = bide_sqlite_run(work->file, remove, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(work->count, 1, standing->queue, -1, SQLITE_STATIC);
    return bide_sqlite_run(work->file, work->count, error);
}

static bide_code reschedule(struct work *work, const struct standing *standing, bide_error *error)
{
    sqlite3_stmt *update, *wait;
    int64_t due_ms = work->change->due_ms;
    bide_code code = bide_sqlite_use(work->file, BIDE_SQL_RESCHEDULE, &update, error);
    if (code == BIDE_OK)
        code = bide_sqlite_use(work->file, BIDE_SQL_RELEASE, &wait, error);
    if (code != BIDE_OK)
        return code;
    int64_t expires_ms = bide_changed_expiry_ms(standing->expires_ms, standing->due_ms, due_ms);
    sqlite3_bind_int64(update, 1, standing->seq);
    sqlite3_bind_int64(update, 2, due_ms);
    if (expires_ms)
        sqlite3_bind_int64(update, 3, expires_ms);
    else
        sqlite3_bind_null(update, 3);
    code = bide_sqlite_run(work->file, update, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(wait, 1, standing->seq);
    return bide_sqlite_run_waiting(work->file, wait, error);
}

static bide_code change_one(
    struct work *work, const struct standing *standing, struct outcome *outcome, bide_error *error)
{
    bool left = false;
    bide_code code = leave_line(work, standing, &left, error);
    outcome->fate = !left                  ? BIDE_FATE_RUNNING
                    : work->change->cancel ? BIDE_FATE_CANCELLED
                                           : BIDE_FATE_RESCHEDULED;
    if (code != BIDE_OK || !left)
        return code;
    return work->change->cancel ? cancel(work, standing, error) : reschedule(work, standing, error);
}

static void copy_text(sqlite3_stmt *row, int column, char *to, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    snprintf(to, size, "%s", text ? text : "");
}

/* Reads the next message that still is what was chosen. */
static bide_code read_next(
    struct work *work, struct standing *standing, struct outcome *outcome, bide_error *error)
{
    sqlite3_stmt *next = work->next;
    sqlite3_bind_int64(next, 1, work->after);
    bide_code code = bide_sqlite_step(work->file, next, &work->more, error);
    if (code != BIDE_OK || !work->more)
        return code;
    const char *queue = (const char *)sqlite3_column_text(next, QUEUE);
    *standing = (struct standing){.seq = sqlite3_column_int64(next, SEQ),
        .due_ms = sqlite3_column_int64(next, DUE_MS),
        .expires_ms = sqlite3_column_int64(next, EXPIRES_MS),
        .no_queue = !queue || strlen(queue) > BIDE_NAME_MAX};
    if (!standing->no_queue)
        memcpy(standing->queue, queue, strlen(queue) + 1);
    copy_text(next, ID, outcome->id, sizeof outcome->id);
    copy_text(next, UNIQUE, outcome->unique, sizeof outcome->unique);
    copy_text(next, GENERATION, outcome->generation, sizeof outcome->generation);
    sqlite3_reset(next);
    work->after = standing->seq;
    return BIDE_OK;
}

static bide_code change_batch(struct work *work, bide_error *error)
{
    bide_code code = BIDE_OK;
    work->n = 0;
    while (code == BIDE_OK && work->n < BATCH) {
        struct standing standing;
        struct outcome *outcome = &work->outcomes[work->n];
        code = read_next(work, &standing, outcome, error);
        if (code != BIDE_OK || !work->more)
            break;
        if (standing.no_queue)
            continue;
        code = change_one(work, &standing, outcome, error);
        work->n++;
    }
    return code;
}

/* ---- batch after batch ---- */

static void report(struct work *work)
{
    for (size_t i = 0; i < work->n; i++) {
        const struct outcome *outcome = &work->outcomes[i];
        const struct bide_copy copy = {outcome->id, outcome->unique, outcome->generation};
        work->change->report(work->change->user, &copy, outcome->fate);
    }
    work->done += work->n;
}

static bide_code change_chosen(struct work *work, bide_error *error)
{
    bide_code code = BIDE_OK;
    work->after = INT64_MIN;
    work->more = work->total > 0;
    while (code == BIDE_OK && work->more) {
        code = bide_sqlite_begin(work->file, true, work->admin->timeout_us, error);
        if (code != BIDE_OK)
            break;
        code = change_batch(work, error);
        BIDE_KILL_POINT("change/sqlite-changed");
        code = bide_sqlite_end(work->file, code, error);
        if (code != BIDE_OK)
            break;
        BIDE_KILL_POINT("change/sqlite-committed");
        bide_sqlite_lock_ring(&work->file->lock); /* receivers look what is due first now */
        report(work);
        if (work->change->progress && !work->change->progress(work->change->user, work->done, work->total))
            break;
    }
    return code;
}

static bide_code run(struct work *work, const bide_selection *selection, bide_error *error)
{
    bide_code code = make_all(work, selection->n_ids > 0, error);
    if (code == BIDE_OK)
        code = bide_sqlite_worker_free_dead(work->file, 0, work->admin->timeout_us, error);
    if (code == BIDE_OK)
        code = choose(work, selection, error);
    if (code == BIDE_OK)
        code = bide_sqlite_prepare(work->file, next_chosen, &work->next, error);
    if (code == BIDE_OK)
        code = bide_sqlite_prepare(work->file, count_cancelled, &work->count, error);
    if (code == BIDE_OK)
        code = change_chosen(work, error);
    sqlite3_finalize(work->next);
    sqlite3_finalize(work->count);
    return code;
}

bide_code bide_sqlite_change(struct bide_admin *base, const bide_selection *selection,
    const struct bide_change *change, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    bool empty;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_WRITE, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    struct work *work = bide_calloc(1, sizeof *work);
    if (work) {
        work->admin = admin;
        work->file = &admin->file;
        work->change = change;
        code = run(work, selection, error);
    } else {
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    bide_free(work);
    bide_sqlite_file_close(&admin->file);
    return code;
}
