/* bide/once_sqlite.h: a message takes effect exactly once, for handlers that write into a SQLite database.
 * The id is inserted in the transaction that does the work, so both are there or neither. Header-only; needs
 * <sqlite3.h> and -lsqlite3.
 *
 *     static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
 *     {
 *         sqlite3 *db = state;
 *         bide_error error;
 *         bool is_done;
 *         bide_code code = bide_once_sqlite_begin(db, message, &is_done, &error);
 *         if (code == BIDE_OK && is_done)
 *             return BIDE_DONE;
 *         if (code == BIDE_OK)
 *             code = book(db, message, &error);        // statements of your own; no BEGIN, no COMMIT
 *         code = bide_once_sqlite_end(db, code, &error); // COMMIT, or ROLLBACK where something failed
 *         return code == BIDE_OK ? BIDE_DONE : bide_retry(context, BIDE_BY_POLICY, "%s", error.text);
 *     }
 *
 * handle_batch does the same with bide_once_sqlite_begin_many, for all its messages at once.
 *
 * Ids are kept in the table bide_once until bide_once_sqlite_forget drops the old ones. Thread-safety: a
 * database connection is one thread's (`per_thread` of the plugin, or a lock of its own). Set
 * sqlite3_busy_timeout where others write into the file. */
#ifndef BIDE_ONCE_SQLITE_H
#define BIDE_ONCE_SQLITE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

#include <bide/error.h>
#include <bide/message.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline bide_code bide_once_sqlite_failed(sqlite3 *db, bide_error *error)
{
    return bide_fail(error, BIDE_E_BROKER, "SQLite: %s", sqlite3_errmsg(db));
}

static inline bide_code bide_once_sqlite_run(sqlite3 *db, const char *sql, bide_error *error)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? BIDE_OK
                                                                : bide_once_sqlite_failed(db, error);
}

static inline bide_code bide_once_sqlite_make_table(sqlite3 *db, bide_error *error)
{
    return bide_once_sqlite_run(db,
        "CREATE TABLE IF NOT EXISTS bide_once (type TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, "
        "PRIMARY KEY (type, id)) WITHOUT ROWID",
        error);
}

static inline bide_code bide_once_sqlite_prepare(sqlite3 *db, sqlite3_stmt **ret_insert, bide_error *error)
{
    int status = sqlite3_prepare_v2(db,
        "INSERT INTO bide_once (type, id, at) VALUES (?1, ?2, strftime('%s', 'now')) ON CONFLICT DO NOTHING",
        -1, ret_insert, NULL);
    return status == SQLITE_OK ? BIDE_OK : bide_once_sqlite_failed(db, error);
}

/* Inserts the message's type and id. Of the copies of subscriptions (SUB@TOPIC) each has its own effect. */
static inline bide_code bide_once_sqlite_insert(
    sqlite3 *db, sqlite3_stmt *insert, const bide_message *message, bool *ret_is_new, bide_error *error)
{
    const char *queue = bide_message_queue(message), *type = bide_message_type(message);
    if (!*bide_message_id(message))
        return bide_fail(error, BIDE_E_DATA, "the message has no id, so it cannot be told from others");
    int status = strchr(queue, '@')
                     ? sqlite3_bind_text(insert, 1, sqlite3_mprintf("%s@%s", type, queue), -1, sqlite3_free)
                     : sqlite3_bind_text(insert, 1, type, -1, SQLITE_STATIC);
    if (status == SQLITE_OK)
        status = sqlite3_bind_text(insert, 2, bide_message_id(message), -1, SQLITE_STATIC);
    if (status == SQLITE_OK)
        status = sqlite3_step(insert);
    bide_code code = status == SQLITE_DONE ? BIDE_OK : bide_once_sqlite_failed(db, error);
    sqlite3_reset(insert);
    if (code == BIDE_OK)
        *ret_is_new = sqlite3_changes(db) > 0;
    return code;
}

/* Ends the transaction: COMMIT where code is BIDE_OK, else ROLLBACK. Returns code, or why there was no
 * commit. */
static inline bide_code bide_once_sqlite_end(sqlite3 *db, bide_code code, bide_error *error)
{
    if (code == BIDE_OK)
        code = bide_once_sqlite_run(db, "COMMIT", error);
    if (code != BIDE_OK && !sqlite3_get_autocommit(db)) /* some failures have rolled back already */
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

/* Begins a transaction in which the ids of the messages of a batch are inserted. is_done[i] is of
 * messages[i]: its id was there, the work has been done; of two copies in one batch, the second one is. The
 * transaction is open also where all of them are done. On failure none is open; BIDE_E_DATA: a message has no
 * id. */
static inline bide_code bide_once_sqlite_begin_many(
    sqlite3 *db, const bide_message *const *messages, size_t n, bool *ret_is_done, bide_error *error)
{
    sqlite3_stmt *insert = NULL;
    bide_code code = bide_once_sqlite_run(db, "BEGIN IMMEDIATE", error);
    if (code == BIDE_OK)
        code = bide_once_sqlite_make_table(db, error);
    if (code == BIDE_OK)
        code = bide_once_sqlite_prepare(db, &insert, error);
    for (size_t i = 0; i < n && code == BIDE_OK; i++) {
        bool is_new = false;
        code = bide_once_sqlite_insert(db, insert, messages[i], &is_new, error);
        ret_is_done[i] = !is_new;
    }
    sqlite3_finalize(insert);
    return code == BIDE_OK ? BIDE_OK : bide_once_sqlite_end(db, code, error);
}

/* The same for one message. *ret_is_done: then no transaction is open. */
static inline bide_code bide_once_sqlite_begin(
    sqlite3 *db, const bide_message *message, bool *ret_is_done, bide_error *error)
{
    bool is_done = false;
    bide_code code = bide_once_sqlite_begin_many(db, &message, 1, &is_done, error);
    if (code == BIDE_OK && is_done)
        code = bide_once_sqlite_end(db, BIDE_OK, error);
    if (code == BIDE_OK)
        *ret_is_done = is_done;
    return code;
}

/* Drops ids that were inserted more than so many seconds ago. Call it now and then, for instance when the
 * handler opens; a copy of such a message that comes later would run. */
static inline bide_code bide_once_sqlite_forget(sqlite3 *db, int64_t seconds, bide_error *error)
{
    char *sql =
        sqlite3_mprintf("DELETE FROM bide_once WHERE at < strftime('%%s', 'now') - %lld", (long long)seconds);
    if (!sql)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = bide_once_sqlite_make_table(db, error);
    if (code == BIDE_OK)
        code = bide_once_sqlite_run(db, sql, error);
    sqlite3_free(sql);
    return code;
}

#ifdef __cplusplus
}
#endif

#endif
