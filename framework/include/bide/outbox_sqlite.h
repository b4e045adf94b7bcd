/* bide/outbox_sqlite.h: a message that is sent if, and only if, your own SQLite transaction commits. The
 * message is a row of the table bide_outbox in your database; `bide relay` carries it to the broker
 * (docs/outbox.md). Header-only, C and C++; needs <sqlite3.h> and -lsqlite3, and nothing else of bide.
 *
 *     bide_outbox_message mail = {0};
 *     mail.type = "mail";
 *     mail.body = "{\"order\":42}";
 *     mail.body_size = strlen("{\"order\":42}");
 *     sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
 *     …                                                   // statements of your own
 *     if (bide_outbox_sqlite_send(db, &mail, NULL) == SQLITE_OK)
 *         sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);   // both are there, or neither
 *     else
 *         …                                               // sqlite3_errmsg(db) says why: ROLLBACK
 *
 * Thread-safety: a database connection is one thread's. */
#ifndef BIDE_OUTBOX_SQLITE_H
#define BIDE_OUTBOX_SQLITE_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Now, in Unix ms, as an SQL expression. */
#define BIDE_OUTBOX_SQLITE_NOW "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"

/* `bide schema sqlite` prints it. Any language may insert rows: only `type` is needed. `refused`: why the
 * broker does not take the message; such a row stays until somebody sets it to NULL again, or deletes the
 * row. */
#define BIDE_OUTBOX_SQLITE_TABLE                                                                             \
    "CREATE TABLE IF NOT EXISTS bide_outbox (\n"                                                             \
    "  seq INTEGER PRIMARY KEY,\n"                                                                           \
    "  id TEXT NOT NULL DEFAULT (lower(hex(randomblob(16)))),\n"                                             \
    "  type TEXT NOT NULL,\n"                                                                                \
    "  queue TEXT,\n"                                                                                        \
    "  body BLOB,\n"                                                                                         \
    "  content_type TEXT,\n"                                                                                 \
    "  headers TEXT,\n"                                                                                      \
    "  due_ms INTEGER,\n"                                                                                    \
    "  expires_ms INTEGER,\n"                                                                                \
    "  sent_ms INTEGER NOT NULL DEFAULT (" BIDE_OUTBOX_SQLITE_NOW "),\n"                                     \
    "  refused TEXT\n"                                                                                       \
    ")"

/* Zero it, then set what you need; all is borrowed during the call. */
typedef struct bide_outbox_message {
    const char *type;
    const void *body;
    size_t body_size;
    const char *id;    /* NULL: one is made */
    const char *queue; /* NULL: that of the type's handler in the relay's configuration, else "default" */
    const char *content_type; /* NULL: none */
    const char *headers;      /* a JSON object of strings; NULL: none */
    int64_t delay_ms;         /* 0: at once */
    int64_t expires_after_ms; /* counted from due; 0: never */
} bide_outbox_message;

enum { BIDE_OUTBOX_ID_SIZE = 33 }; /* of an id that is made, with its NUL */

static inline void bide_outbox_sqlite_make_id(char to[BIDE_OUTBOX_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16];
    sqlite3_randomness(16, bytes);
    for (int i = 0; i < 16; i++) {
        to[2 * i] = digits[bytes[i] >> 4];
        to[2 * i + 1] = digits[bytes[i] & 15];
    }
    to[BIDE_OUTBOX_ID_SIZE - 1] = '\0';
}

/* Makes the table if it is missing. */
static inline int bide_outbox_sqlite_make_table(sqlite3 *db)
{
    return sqlite3_exec(db, BIDE_OUTBOX_SQLITE_TABLE, NULL, NULL, NULL);
}

/* The statement that inserts; makes the table where there is none yet. */
static inline int bide_outbox_sqlite_prepare(sqlite3 *db, sqlite3_stmt **ret_insert)
{
    static const char sql[] = "INSERT INTO main.bide_outbox (id, type, queue, body, content_type, headers, "
                              "due_ms, expires_ms, sent_ms) "
                              "SELECT ?1, ?2, ?3, ?4, ?5, ?6, now + ?7, now + coalesce(?7, 0) + ?8, now "
                              "FROM (SELECT " BIDE_OUTBOX_SQLITE_NOW " AS now)";
    int status = sqlite3_prepare_v2(db, sql, -1, ret_insert, NULL);
    if (status != SQLITE_ERROR) /* "no such table" is one */
        return status;
    status = bide_outbox_sqlite_make_table(db);
    return status == SQLITE_OK ? sqlite3_prepare_v2(db, sql, -1, ret_insert, NULL) : status;
}

static inline int bide_outbox_sqlite_bind_ms(sqlite3_stmt *insert, int at, int64_t ms)
{
    return ms > 0 ? sqlite3_bind_int64(insert, at, ms) : sqlite3_bind_null(insert, at);
}

/* Inserts the message in the transaction that is open; without one it is a transaction of its own. Begins,
 * commits and rolls back nothing. The table is that of the connection's main database, whatever else is
 * attached to it. ret_id (may be NULL): the id that was made, or "" where the message has
 * one. Returns SQLITE_OK, or SQLite's code: sqlite3_errmsg says why. */
static inline int bide_outbox_sqlite_send(
    sqlite3 *db, const bide_outbox_message *message, char ret_id[BIDE_OUTBOX_ID_SIZE])
{
    const char *texts[6];
    char made[BIDE_OUTBOX_ID_SIZE] = "";
    sqlite3_stmt *insert = NULL;
    int status = bide_outbox_sqlite_prepare(db, &insert);
    if (!message->id)
        bide_outbox_sqlite_make_id(made);
    texts[0] = message->id ? message->id : made;
    texts[1] = message->type;
    texts[2] = message->queue;
    texts[3] = NULL; /* the body */
    texts[4] = message->content_type;
    texts[5] = message->headers;
    for (int i = 0; status == SQLITE_OK && i < 6; i++)
        if (texts[i])
            status = sqlite3_bind_text(insert, i + 1, texts[i], -1, SQLITE_STATIC);
    if (status == SQLITE_OK && message->body_size > 0)
        status = sqlite3_bind_blob64(insert, 4, message->body, message->body_size, SQLITE_STATIC);
    if (status == SQLITE_OK)
        status = bide_outbox_sqlite_bind_ms(insert, 7, message->delay_ms);
    if (status == SQLITE_OK)
        status = bide_outbox_sqlite_bind_ms(insert, 8, message->expires_after_ms);
    if (status == SQLITE_OK)
        status = sqlite3_step(insert) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db);
    sqlite3_finalize(insert);
    for (int i = 0; ret_id && status == SQLITE_OK && i < BIDE_OUTBOX_ID_SIZE; i++)
        ret_id[i] = made[i];
    return status;
}

#ifdef __cplusplus
}
#endif

#endif
