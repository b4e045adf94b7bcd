#include <errno.h>
#include <string.h>

#include "store/sqlite/inside.h"

/* ---- sessions: a row of the table, and a byte of the side file that is held as long as it lives ---- */

static bide_code session_is_known(struct bide_sqlite_store *store, bool *ret_known, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code =
        bide_store_use_for(store, BIDE_STORE_SQL_SESSION, store->session, NULL, &statement, error);
    if (code == BIDE_OK)
        code = bide_sqlite_step(&store->file, statement, ret_known, error);
    if (code == BIDE_OK)
        sqlite3_reset(statement);
    return code;
}

/* A number whose byte is still held belonged to a child process that outlived its store: take the next. Where
 * none can be locked, the side file is to blame. */
static bide_code insert_session(struct bide_sqlite_store *store, int64_t *ret_number, bide_error *error)
{
    enum { NUMBERS = 1000 };
    for (int i = 0; i < NUMBERS; i++) {
        sqlite3_stmt *statement;
        bide_code code = bide_store_use_named(
            store, BIDE_STORE_SQL_SESSION_MAKE, store->client_name, NULL, &statement, error);
        if (code != BIDE_OK)
            return code;
        sqlite3_bind_int64(statement, 2, bide_store_now_ms(store));
        code = bide_store_run(store, statement, error);
        *ret_number = sqlite3_last_insert_rowid(store->file.db);
        if (code != BIDE_OK || bide_sqlite_lock_try(&store->file.lock, bide_sqlite_session_byte(*ret_number)))
            return code;
    }
    return bide_fail(
        error, BIDE_E_BROKER, "%s: cannot be locked: %s", store->file.lock_path, strerror(errno));
}

static bide_code make_session(struct bide_sqlite_store *store, int64_t wait_us, bide_error *error)
{
    int64_t number = 0;
    bide_code code = bide_sqlite_begin(&store->file, false, wait_us, error);
    if (code != BIDE_OK)
        return code;
    store->now_us = bide_wall_us(store->file.clock);
    code = insert_session(store, &number, error);
    code = bide_sqlite_end(&store->file, code, error);
    if (code == BIDE_OK)
        store->session = number;
    else if (number)
        bide_sqlite_lock_release(&store->file.lock, bide_sqlite_session_byte(number));
    return code;
}

bide_code bide_store_session_begin(struct bide_sqlite_store *store, int64_t wait_us, bide_error *error)
{
    bool known = false;
    bide_code code = BIDE_OK;
    if (bide_sqlite_file_lost_lock(&store->file)) { /* our byte is in a file that nobody sees any more */
        code = bide_sqlite_file_renew_lock(&store->file, error);
        if (code == BIDE_OK && store->session &&
            !bide_sqlite_lock_try(&store->file.lock, bide_sqlite_session_byte(store->session)))
            store->session = 0;
    }
    if (code == BIDE_OK && store->session)
        code = session_is_known(store, &known, error);
    return code != BIDE_OK || known ? code : make_session(store, wait_us, error);
}

static bool is_dead(const struct bide_sqlite_store *store, int64_t session)
{
    return session != store->session &&
           !bide_sqlite_lock_is_held(&store->file.lock, bide_sqlite_session_byte(session)) &&
           !bide_sqlite_lock_is_new(&store->file.lock) && !bide_sqlite_file_lost_lock(&store->file);
}

static bide_code bury(struct bide_sqlite_store *store, int64_t session, bide_error *error)
{
    static const enum bide_store_sql steps[] = {BIDE_STORE_SQL_HOLDERS_VANISH, BIDE_STORE_SQL_SESSION_DELETE};
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < sizeof steps / sizeof steps[0]; i++) {
        sqlite3_stmt *statement;
        code = bide_store_use_for(store, steps[i], session, NULL, &statement, error);
        if (code == BIDE_OK)
            code = bide_store_run(store, statement, error);
    }
    return code;
}

/* Buries the dead ones of the sessions that the statement lists; it is prepared and bound. */
static bide_code bury_dead(struct bide_sqlite_store *store, sqlite3_stmt *sessions, bide_error *error)
{
    enum { AT_ONCE = 32 };
    int64_t dead[AT_ONCE];
    size_t n = 0;
    bool row = true;
    bide_code code = BIDE_OK;
    while (n < AT_ONCE && (code = bide_sqlite_step(&store->file, sessions, &row, error)) == BIDE_OK && row) {
        dead[n] = sqlite3_column_int64(sessions, 0);
        n += is_dead(store, dead[n]);
    }
    sqlite3_reset(sessions);
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        code = bury(store, dead[i], error);
    return code;
}

bide_code bide_store_sessions_sweep(struct bide_sqlite_store *store, bide_error *error)
{
    sqlite3_stmt *sessions;
    bide_code code = bide_store_use(store, BIDE_STORE_SQL_SESSIONS, &sessions, error);
    return code == BIDE_OK ? bury_dead(store, sessions, error) : code;
}

/* ---- holders ---- */

static bide_code count_holders(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row;
    bide_code code = bide_store_use_named(
        store, BIDE_STORE_SQL_HOLDERS, operation->scope, operation->key, &statement, error);
    if (code == BIDE_OK)
        code = bide_sqlite_step(&store->file, statement, &row, error);
    if (code != BIDE_OK)
        return code;
    operation->answer.count = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return BIDE_OK;
}

/* Those that have lapsed, and those of sessions that have ended. */
static bide_code remove_dead(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_store_use_named(
        store, BIDE_STORE_SQL_HOLDERS_LAPSE, operation->scope, operation->key, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 3, bide_store_now_ms(store));
    code = bide_store_run(store, statement, error);
    if (code == BIDE_OK)
        code = bide_store_use_named(
            store, BIDE_STORE_SQL_HOLDING_SESSIONS, operation->scope, operation->key, &statement, error);
    if (code == BIDE_OK)
        code = bury_dead(store, statement, error);
    return code == BIDE_OK ? count_holders(store, operation, error) : code;
}

static bide_code find_holder(struct bide_sqlite_store *store, const struct bide_store_operation *operation,
    bool *ret_there, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_store_use_named(
        store, BIDE_STORE_SQL_HOLDER, operation->scope, operation->key, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(statement, 3, operation->acquire.holder, -1, SQLITE_STATIC);
    code = bide_sqlite_step(&store->file, statement, ret_there, error);
    if (code == BIDE_OK)
        sqlite3_reset(statement);
    return code;
}

static bide_code write_holder(struct bide_sqlite_store *store, enum bide_store_sql which,
    const struct bide_store_operation *operation, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_store_use_named(store, which, operation->scope, operation->key, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(statement, 3, operation->acquire.holder, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, store->session);
    if (which == BIDE_STORE_SQL_HOLDER_WRITE)
        sqlite3_bind_int64(statement, 5, bide_store_now_ms(store) + operation->lasts_ms);
    return bide_store_run(store, statement, error);
}

/* Most often there is one permit, and nobody has it. */
static bide_code is_free(struct bide_sqlite_store *store, const struct bide_store_operation *operation,
    bool *ret_free, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    *ret_free = false;
    if (operation->acquire.n != 1)
        return BIDE_OK;
    bide_code code = bide_store_use_named(
        store, BIDE_STORE_SQL_HOLDER_ANY, operation->scope, operation->key, &statement, error);
    if (code == BIDE_OK)
        code = bide_sqlite_step(&store->file, statement, &row, error);
    if (code == BIDE_OK && row)
        sqlite3_reset(statement);
    *ret_free = code == BIDE_OK && !row;
    return code;
}

static bide_code acquire_beside_others(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    struct bide_store_answer *answer = &operation->answer;
    int64_t n = operation->acquire.n;
    bool there = false;
    bide_code code = count_holders(store, operation, error);
    if (code == BIDE_OK && n > 0)
        code = find_holder(store, operation, &there, error);
    if (code == BIDE_OK && !there && answer->count >= n)
        code = remove_dead(store, operation, error);
    if (code != BIDE_OK || !(there || answer->count < n))
        return code;
    answer->ok = true;
    answer->changed = !there;
    answer->count += !there;
    return write_holder(store, BIDE_STORE_SQL_HOLDER_WRITE, operation, error);
}

bide_code bide_store_sqlite_acquire(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    struct bide_store_answer *answer = &operation->answer;
    bool free = false;
    bide_code code = is_free(store, operation, &free, error);
    if (code != BIDE_OK || !free)
        return code == BIDE_OK ? acquire_beside_others(store, operation, error) : code;
    answer->ok = answer->changed = true;
    answer->count = 1;
    return write_holder(store, BIDE_STORE_SQL_HOLDER_WRITE, operation, error);
}

bide_code bide_store_sqlite_release(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    bide_code code = write_holder(store, BIDE_STORE_SQL_HOLDER_DELETE, operation, error);
    operation->answer.ok = true;
    operation->answer.changed = code == BIDE_OK && sqlite3_changes(store->file.db) > 0;
    return code;
}
