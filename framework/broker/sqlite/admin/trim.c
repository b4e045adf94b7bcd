/* Drops the dead letters that the retention no longer allows, one batch a transaction, so that other writers
 * do not wait long. */
#include <string.h>

#include "broker/sqlite/admin/admin.h"

enum { BATCH = 256 };

/* Drops letters that died before before_ms, in the order of `seq`: that is the order of death, except for
 * letters that were moved here from another broker. */
static bide_code expire(
    struct bide_sqlite_file *file, int64_t before_ms, uint64_t most, uint64_t *ret_n, bide_error *error)
{
    sqlite3_stmt *statement;
    *ret_n = 0;
    if (before_ms <= 0)
        return BIDE_OK;
    bide_code code = bide_sqlite_use(file, BIDE_SQL_DEAD_EXPIRE, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, (int64_t)most);
    sqlite3_bind_int64(statement, 2, before_ms);
    return bide_sqlite_run_dead(file, statement, -1, ret_n, error);
}

static bide_code drop_surplus(struct bide_sqlite_file *file, const char *queue, int64_t max_count,
    uint64_t most, uint64_t *ret_n, bide_error *error)
{
    struct bide_sqlite_count count;
    sqlite3_stmt *statement;
    bide_code code = bide_sqlite_counts_look(file, queue, 0, &count, error);
    if (code != BIDE_OK || count.dead <= max_count) /* the statement does not rely on the count */
        return code;
    code = bide_sqlite_use(file, BIDE_SQL_DEAD_SURPLUS, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(statement, 1, queue, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, max_count);
    sqlite3_bind_int64(statement, 3, (int64_t)most);
    return bide_sqlite_run_dead(file, statement, -1, ret_n, error);
}

/* Sets `name` to the next queue's; *ret_found is false if there is none with a valid name. */
static bide_code next_queue(
    struct bide_sqlite_file *file, char name[BIDE_NAME_MAX + 1], bool *ret_found, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row;
    *ret_found = false;
    bide_code code = bide_sqlite_use(file, BIDE_SQL_NEXT_DEAD_QUEUE, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_TRANSIENT);
    code = bide_sqlite_step(file, statement, &row, error);
    if (code != BIDE_OK || !row)
        return code;
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    *ret_found = text && strlen(text) <= BIDE_NAME_MAX && strcmp(text, name) > 0;
    if (*ret_found)
        memcpy(name, text, strlen(text) + 1);
    sqlite3_reset(statement);
    return BIDE_OK;
}

/* Called before letters expire, because the counts are those of the beginning of the transaction. */
static bide_code drop_surpluses(
    struct bide_sqlite_file *file, int64_t max_count, uint64_t *ret_n, bide_error *error)
{
    char name[BIDE_NAME_MAX + 1] = "";
    bool found = max_count > 0;
    bide_code code = BIDE_OK;
    *ret_n = 0;
    while (code == BIDE_OK && found && *ret_n < BATCH) {
        uint64_t n = 0;
        code = next_queue(file, name, &found, error);
        if (code == BIDE_OK && found)
            code = drop_surplus(file, name, max_count, BATCH - *ret_n, &n, error);
        *ret_n += n;
    }
    return code;
}

static bide_code trim_batch(struct bide_sqlite_admin *admin, const struct bide_dead_bounds *bounds,
    uint64_t *ret_n, bide_error *error)
{
    struct bide_sqlite_file *file = &admin->file;
    uint64_t n_surplus = 0, n_expired = 0;
    bide_code code = bide_sqlite_begin(file, true, admin->timeout_us, error);
    if (code != BIDE_OK)
        return code;
    code = drop_surpluses(file, bounds->max_count, &n_surplus, error);
    if (code == BIDE_OK)
        code = expire(file, bounds->died_before_ms, BATCH - n_surplus, &n_expired, error);
    *ret_n = n_surplus + n_expired;
    if (code == BIDE_OK && *ret_n > 0)
        return bide_sqlite_commit(file, error);
    bide_sqlite_rollback(file);
    return code;
}

bide_code bide_sqlite_dead_trim(struct bide_admin *base, const struct bide_dead_bounds *bounds,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    uint64_t n = BATCH;
    bool empty;
    *ret_n = 0;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_WRITE, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    while (code == BIDE_OK && n == BATCH) {
        code = trim_batch(admin, bounds, &n, error);
        *ret_n += code == BIDE_OK ? n : 0;
        if (code == BIDE_OK && progress && !progress(user, *ret_n, *ret_n))
            break;
    }
    bide_sqlite_file_close(&admin->file);
    return code;
}
