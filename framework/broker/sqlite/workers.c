#include "broker/sqlite/workers.h"

#include <unistd.h>

#include "bide/log.h"

static bide_code last_number(struct bide_sqlite_file *file, int64_t *ret_number, bide_error *error)
{
    sqlite3_stmt *last;
    bool row = false;
    bide_code code = bide_sqlite_use(file, BIDE_SQL_WORKER_LAST, &last, error);
    if (code == BIDE_OK)
        code = bide_sqlite_step(file, last, &row, error);
    if (code != BIDE_OK)
        return code;
    *ret_number = row ? sqlite3_column_int64(last, 0) : 0;
    sqlite3_reset(last);
    return BIDE_OK;
}

static bide_code insert(struct bide_sqlite_file *file, const char *name, int64_t number, bide_error *error)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    sqlite3_stmt *statement;
    bide_code code = bide_sqlite_use(file, BIDE_SQL_WORKER_INSERT, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, number);
    sqlite3_bind_text(statement, 2, name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(statement, 3, host, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 4, getpid());
    sqlite3_bind_int64(statement, 5, bide_wall_ms(file->clock));
    return bide_sqlite_run(file, statement, error);
}

bide_code bide_sqlite_worker_register(
    struct bide_sqlite_file *file, const char *name, int64_t wait_us, int64_t *ret_number, bide_error *error)
{
    int64_t number = 0;
    bide_code code = bide_sqlite_begin(file, false, wait_us, error);
    if (code != BIDE_OK)
        return code;
    code = last_number(file, &number, error);
    /* A number without a row may still be locked by a child process that outlived its worker. */
    for (bool held = false; code == BIDE_OK && !held;)
        held = bide_sqlite_lock_try(&file->lock, bide_sqlite_worker_byte(++number));
    if (code == BIDE_OK)
        code = insert(file, name, number, error);
    if (code == BIDE_OK) /* repairs counts that a person or an older bide made wrong */
        code = bide_sqlite_run_one(file, BIDE_SQL_COUNT_AGAIN, error);
    code = bide_sqlite_end(file, code, error);
    if (code == BIDE_OK)
        *ret_number = number;
    return code;
}

bool bide_sqlite_worker_is_dead(const struct bide_sqlite_file *file, int64_t number)
{
    return !bide_sqlite_lock_is_held(&file->lock, bide_sqlite_worker_byte(number)) &&
           !bide_sqlite_lock_is_new(&file->lock) && !bide_sqlite_file_lost_lock(file);
}

/* The first dead worker among those that the statement lists. */
static bide_code first_dead(
    struct bide_sqlite_file *file, enum bide_sql list, int64_t own, int64_t *ret_number, bide_error *error)
{
    sqlite3_stmt *workers;
    bool row;
    bide_code code = bide_sqlite_use(file, list, &workers, error);
    *ret_number = 0;
    if (code == BIDE_OK && sqlite3_bind_parameter_count(workers) > 0)
        sqlite3_bind_int64(workers, 1, own);
    while (code == BIDE_OK && (code = bide_sqlite_step(file, workers, &row, error)) == BIDE_OK && row) {
        int64_t number = sqlite3_column_int64(workers, 0);
        if (number != own && bide_sqlite_worker_is_dead(file, number)) {
            *ret_number = number;
            sqlite3_reset(workers);
            break;
        }
    }
    return code;
}

bide_code bide_sqlite_worker_find_dead(
    struct bide_sqlite_file *file, int64_t own, int64_t *ret_number, bide_error *error)
{
    bide_code code = first_dead(file, BIDE_SQL_WORKERS, own, ret_number, error);
    if (code == BIDE_OK && *ret_number == 0)
        code = first_dead(file, BIDE_SQL_CLAIM_ORPHANS, own, ret_number, error);
    return code;
}

bide_code bide_sqlite_worker_free(struct bide_sqlite_file *file, int64_t number, bide_error *error)
{
    static const enum bide_sql steps[] = {BIDE_SQL_FREE_INSERT, BIDE_SQL_FREE_DELETE, BIDE_SQL_WORKER_DELETE};
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < sizeof steps / sizeof steps[0]; i++) {
        sqlite3_stmt *statement;
        code = bide_sqlite_use(file, steps[i], &statement, error);
        if (code != BIDE_OK)
            return code;
        sqlite3_bind_int64(statement, 1, number);
        code = steps[i] == BIDE_SQL_FREE_INSERT ? bide_sqlite_run_waiting(file, statement, error)
                                                : bide_sqlite_run(file, statement, error);
    }
    return code;
}

bide_code bide_sqlite_worker_free_alone(
    struct bide_sqlite_file *file, int64_t number, int64_t wait_us, bide_error *error)
{
    bide_code code = bide_sqlite_begin(file, true, wait_us, error);
    if (code != BIDE_OK)
        return code;
    code = bide_sqlite_worker_free(file, number, error);
    return bide_sqlite_end(file, code, error);
}

bide_code bide_sqlite_worker_free_dead(
    struct bide_sqlite_file *file, int64_t own, int64_t wait_us, bide_error *error)
{
    for (;;) {
        int64_t number = 0;
        bide_code code = bide_sqlite_worker_find_dead(file, own, &number, error);
        if (code == BIDE_OK && number)
            code = bide_sqlite_worker_free_alone(file, number, wait_us, error);
        if (code != BIDE_OK || !number)
            return code;
    }
}

bide_code bide_sqlite_worker_keep(
    struct bide_sqlite_file *file, const char *name, int64_t number, bool *ret_lost, bide_error *error)
{
    sqlite3_stmt *known;
    bool row = false;
    *ret_lost = false;
    if (bide_sqlite_file_lost_lock(file))
        return bide_fail(error, BIDE_E_TIMEOUT, "%s: was removed or replaced", file->lock_path);
    bide_code code = bide_sqlite_use(file, BIDE_SQL_WORKER_KNOWN, &known, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(known, 1, number);
    code = bide_sqlite_step(file, known, &row, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_reset(known);
    if (row)
        return BIDE_OK;
    bide_log(BIDE_LOG_ERROR, "other workers took this one for dead: its messages run there, too",
        BIDE_STR("file", file->path), BIDE_INT("number", number));
    *ret_lost = true;
    code = bide_sqlite_worker_free(file, number, error);
    return code == BIDE_OK ? insert(file, name, number, error) : code;
}
