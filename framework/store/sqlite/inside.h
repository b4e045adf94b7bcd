/* store/sqlite/inside.h: the structure behind a SQLite store.
 *
 * A batch of letters is one transaction. Writers take turns with those of a broker that lives in the same
 * file (broker/sqlite/file.h). Thread-safety: one thread at a time. */
#ifndef BIDE_STORE_SQLITE_INSIDE_H
#define BIDE_STORE_SQLITE_INSIDE_H

#include "broker/sqlite/file.h"
#include "store/sqlite/statements.h"
#include "store/store.h"

enum { BIDE_STORE_SQLITE_VERSION = 1 };

/* A scope as the present transaction knows it. */
struct bide_store_scope {
    char name[BIDE_STORE_KEY_MAX + 1]; /* "": none is known */
    int64_t number;                    /* 0: there is no such scope, or it has lapsed */
    int64_t lapsed;                    /* the number of one that has lapsed and still has the name; else 0 */
    int64_t end_ms;
};

struct bide_sqlite_store {
    struct bide_store base;
    struct bide_sqlite_file file;
    sqlite3_stmt *statements[BIDE_STORE_SQL_COUNT];
    char *client_name;
    int64_t now_us; /* wall time of the present transaction */
    struct bide_store_scope scope;
    int64_t session;     /* 0: none; else its byte of the side file is held */
    int64_t sweep_at_us; /* monotonic: when to delete some of what has lapsed */
};

static inline int64_t bide_store_now_ms(const struct bide_sqlite_store *store)
{
    return store->now_us / 1000;
}

extern const struct bide_sqlite_tables bide_store_sqlite_tables;

/* ---- statements.c: the store's own statements; see the functions of broker/sqlite/file.h ---- */

/* Prepares it at first use. It belongs to the store. */
bide_code bide_store_use(struct bide_sqlite_store *store, enum bide_store_sql which,
    sqlite3_stmt **ret_statement, bide_error *error);
/* The same, and binds what it begins with: `scope` (a number) or `name` (a text), and `key` (may be NULL). */
bide_code bide_store_use_for(struct bide_sqlite_store *store, enum bide_store_sql which, int64_t scope,
    const char *key, sqlite3_stmt **ret_statement, bide_error *error);
bide_code bide_store_use_named(struct bide_sqlite_store *store, enum bide_store_sql which, const char *name,
    const char *key, sqlite3_stmt **ret_statement, bide_error *error);
bide_code bide_store_run(struct bide_sqlite_store *store, sqlite3_stmt *statement, bide_error *error);
void bide_store_finalize(struct bide_sqlite_store *store);

/* ---- scope.c ---- */

/* The scope of that name becomes store->scope. */
bide_code bide_store_scope_find(struct bide_sqlite_store *store, const char *name, bide_error *error);
/* The same; it is made, or made to last longer, so that it lasts at least lasts_ms from now. 0: as find. */
bide_code bide_store_scope_last(
    struct bide_sqlite_store *store, const char *name, int64_t lasts_ms, bide_error *error);

/* ---- one function a kind of operation; within a transaction ---- */

typedef bide_code bide_store_perform(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error);
bide_store_perform bide_store_sqlite_turn, bide_store_sqlite_get, bide_store_sqlite_meter; /* fact.c */
bide_store_perform bide_store_sqlite_close;                                                /* scope.c */
bide_store_perform bide_store_sqlite_arrive;                                               /* set.c */
bide_store_perform bide_store_sqlite_acquire, bide_store_sqlite_release;                   /* holder.c */

/* ---- holder.c: sessions ---- */

/* Makes a session where there is none, or none any more. Outside of transactions. */
bide_code bide_store_session_begin(struct bide_sqlite_store *store, int64_t wait_us, bide_error *error);
/* Within a transaction: the holders of sessions that have ended vanish. */
bide_code bide_store_sessions_sweep(struct bide_sqlite_store *store, bide_error *error);

/* ---- sweep.c ---- */

/* Within a transaction: deletes some of what has lapsed, if it is time to. */
bide_code bide_store_sweep(struct bide_sqlite_store *store, bide_error *error);

#endif
