/* Dead letters: first those meant are chosen (their numbers, in a temporary table), then walked one by one,
 * so that no read lasts while a caller prints, and what dies meanwhile is not touched. */
#include "broker/sqlite/admin/admin.h"
#include "base/killpoint.h"
#include "broker/sqlite/row.h"

enum { BATCH = 256 };

/* ---- choosing ---- */

#define CONDITIONS "(?2 IS NULL OR type = ?2) AND (?3 IS NULL OR queue = ?3) AND (?4 IS NULL OR reason = ?4)"

static void bind_or_null(sqlite3_stmt *statement, int at, const char *text)
{
    if (text && *text)
        sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, at);
}

static bide_code choose_ids(struct bide_sqlite_file *file, sqlite3_stmt *statement,
    const struct bide_dead_filter *filter, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < filter->n_ids; i++) {
        sqlite3_bind_text(statement, 1, filter->ids[i], -1, SQLITE_STATIC);
        code = bide_sqlite_run(file, statement, error);
    }
    return code;
}

static bide_code choose_matching(
    struct bide_sqlite_file *file, const struct bide_dead_filter *filter, bide_error *error)
{
    sqlite3_stmt *statement;
    bool by_id = filter->ids && filter->n_ids > 0;
    bide_code code = bide_sqlite_prepare(file,
        by_id ? "INSERT OR IGNORE INTO temp.chosen SELECT seq FROM {dead} WHERE id = ?1 AND " CONDITIONS
                " AND ?5 <> 0"
              : "INSERT INTO temp.chosen SELECT seq FROM {dead} WHERE ?1 IS NULL AND " CONDITIONS
                " ORDER BY seq DESC LIMIT ?5",
        &statement, error);
    if (code != BIDE_OK)
        return code;
    bind_or_null(statement, 2, filter->type);
    bind_or_null(statement, 3, filter->queue);
    bind_or_null(statement, 4, bide_reason_name(filter->reason));
    sqlite3_bind_int64(statement, 5, filter->limit ? (int64_t)filter->limit : -1);
    code = by_id ? choose_ids(file, statement, filter, error) : bide_sqlite_run(file, statement, error);
    sqlite3_finalize(statement);
    return code;
}

static bide_code keep_newest(struct bide_sqlite_file *file, size_t limit, bide_error *error)
{
    char sql[160];
    sqlite3_snprintf(sizeof sql, sql,
        "DELETE FROM temp.chosen WHERE seq NOT IN (SELECT seq FROM temp.chosen ORDER BY seq DESC LIMIT %lld)",
        (long long)limit);
    return bide_sqlite_exec(file, sql, error);
}

static bide_code choose(
    struct bide_sqlite_file *file, const struct bide_dead_filter *filter, bide_error *error)
{
    bide_code code = bide_sqlite_exec(file, "CREATE TEMP TABLE chosen(seq INTEGER PRIMARY KEY)", error);
    if (code == BIDE_OK)
        code = choose_matching(file, filter, error);
    if (code == BIDE_OK && filter->limit && filter->n_ids)
        code = keep_newest(file, filter->limit, error);
    return code;
}

/* ---- listing ---- */

enum { RUNS_COLUMN = 5, REASON_COLUMN = 12, DIED_COLUMN = 13 };

static const char next_letter[] =
    "SELECT d.seq, d.due_ms, d.id, d.type, d.queue, d.attempts, d.sent_ms, d.expires_ms, d.content_type, "
    "d.headers, d.error, d.body, d.reason, d.died_ms "
    "FROM temp.chosen c CROSS JOIN {dead} d ON d.seq = c.seq WHERE c.seq < ?1 ORDER BY c.seq DESC LIMIT 1";

static bide_code show(sqlite3_stmt *statement, bide_dead_visit *visit, void *user, bool *ret_more)
{
    struct bide_sqlite_row row = {.first = 2, .due_ms = sqlite3_column_int64(statement, 1)};
    struct bide_dead_letter letter = {.died_ms = sqlite3_column_int64(statement, DIED_COLUMN)};
    const char *reason = (const char *)sqlite3_column_text(statement, REASON_COLUMN);
    int runs = sqlite3_column_int(statement, RUNS_COLUMN);
    enum bide_reason defect;
    const char *defect_text;
    struct bide_message *message = bide_sqlite_read(statement, &row, &defect, &defect_text);
    if (reason)
        (void)bide_reason_parse(reason, &letter.reason);
    sqlite3_reset(statement);
    if (!message)
        return BIDE_E_NOMEM;
    message->attempt = runs;
    letter.message = message;
    *ret_more = visit(user, &letter);
    bide_message_destroy(message);
    return BIDE_OK;
}

static bide_code walk(struct bide_sqlite_file *file, bide_dead_visit *visit, void *user, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row = true, more = true;
    int64_t before = INT64_MAX;
    bide_code code = bide_sqlite_prepare(file, next_letter, &statement, error);
    if (code != BIDE_OK)
        return code;
    while (code == BIDE_OK && more) {
        sqlite3_bind_int64(statement, 1, before);
        code = bide_sqlite_step(file, statement, &row, error);
        if (code != BIDE_OK || !row)
            break;
        before = sqlite3_column_int64(statement, 0);
        if (show(statement, visit, user, &more) != BIDE_OK)
            code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    sqlite3_finalize(statement);
    return code;
}

bide_code bide_sqlite_dead_each(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_dead_visit *visit, void *user, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    bool empty;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_READ, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    code = choose(&admin->file, filter, error);
    if (code == BIDE_OK)
        code = walk(&admin->file, visit, user, error);
    bide_sqlite_file_close(&admin->file);
    return code;
}

/* ---- retrying and dropping ---- */

/* What becomes of one letter, within a transaction; the letter itself is deleted afterwards. */
typedef bide_code letter_fate(struct bide_sqlite_file *file, int64_t seq, bide_error *error);

static bide_code queue_again(struct bide_sqlite_file *file, int64_t seq, bide_error *error)
{
    sqlite3_stmt *copy, *wait;
    bide_code code = bide_sqlite_use(file, BIDE_SQL_DEAD_RETRY, &copy, error);
    if (code == BIDE_OK)
        code = bide_sqlite_use(file, BIDE_SQL_RELEASE, &wait, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(copy, 1, seq);
    sqlite3_bind_int64(copy, 2, bide_wall_ms(file->clock));
    code = bide_sqlite_run(file, copy, error);
    if (code != BIDE_OK || sqlite3_changes(file->db) == 0)
        return code;
    sqlite3_bind_int64(wait, 1, sqlite3_last_insert_rowid(file->db));
    return bide_sqlite_run(file, wait, error);
}

static bide_code drop(struct bide_sqlite_file *file, int64_t seq, bide_error *error)
{
    (void)file;
    (void)seq;
    (void)error;
    return BIDE_OK;
}

struct batch {
    int64_t after; /* the last one done; the oldest come first */
    uint64_t n;    /* letters that were there */
    bool more;
};

static bide_code treat(
    struct bide_sqlite_file *file, struct batch *batch, letter_fate *fate, bide_error *error)
{
    sqlite3_stmt *remove;
    bide_code code = fate(file, batch->after, error);
    if (code == BIDE_OK)
        code = bide_sqlite_use(file, BIDE_SQL_DEAD_DELETE, &remove, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(remove, 1, batch->after);
    code = bide_sqlite_run(file, remove, error);
    if (code == BIDE_OK)
        batch->n += (uint64_t)sqlite3_changes(file->db);
    return code;
}

static bide_code treat_batch(struct bide_sqlite_file *file, sqlite3_stmt *next, struct batch *batch,
    letter_fate *fate, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (int i = 0; code == BIDE_OK && batch->more && i < BATCH; i++) {
        sqlite3_bind_int64(next, 1, batch->after);
        code = bide_sqlite_step(file, next, &batch->more, error);
        if (code != BIDE_OK || !batch->more)
            break;
        batch->after = sqlite3_column_int64(next, 0);
        sqlite3_reset(next);
        code = treat(file, batch, fate, error);
    }
    return code;
}

static bide_code treat_all(struct bide_sqlite_admin *admin, sqlite3_stmt *next, letter_fate *fate,
    bide_progress *progress, void *user, uint64_t *done, bide_error *error)
{
    struct bide_sqlite_file *file = &admin->file;
    struct batch batch = {.after = INT64_MIN, .more = true};
    int64_t total;
    bide_code code = bide_sqlite_number(file, "SELECT count(*) FROM temp.chosen", &total, error);
    while (code == BIDE_OK && batch.more) {
        code = bide_sqlite_begin(file, true, admin->timeout_us, error);
        if (code != BIDE_OK)
            break;
        code = treat_batch(file, next, &batch, fate, error);
        BIDE_KILL_POINT("replay/sqlite-moved");
        if (code == BIDE_OK)
            code = bide_sqlite_commit(file, error);
        else
            bide_sqlite_rollback(file);
        if (code != BIDE_OK)
            break;
        *done = batch.n;
        BIDE_KILL_POINT("replay/sqlite-committed");
        bide_sqlite_lock_ring(&file->lock);
        if (progress && !progress(user, batch.n, (uint64_t)total))
            break;
    }
    return code;
}

static bide_code treat_chosen(struct bide_admin *base, const struct bide_dead_filter *filter,
    letter_fate *fate, bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    sqlite3_stmt *next = NULL;
    bool empty;
    *ret_n = 0;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_WRITE, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    code = choose(&admin->file, filter, error);
    if (code == BIDE_OK)
        code = bide_sqlite_prepare(
            &admin->file, "SELECT seq FROM temp.chosen WHERE seq > ?1 ORDER BY seq LIMIT 1", &next, error);
    if (code == BIDE_OK)
        code = treat_all(admin, next, fate, progress, user, ret_n, error);
    sqlite3_finalize(next);
    bide_sqlite_file_close(&admin->file);
    return code;
}

bide_code bide_sqlite_dead_retry(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    return treat_chosen(base, filter, queue_again, progress, user, ret_n, error);
}

bide_code bide_sqlite_dead_drop(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    return treat_chosen(base, filter, drop, progress, user, ret_n, error);
}
