/* broker/sqlite/file.h: one connection to the database file, and how its transactions take turns.
 *
 * Each sender, receiver and admin has a connection of its own. Writers stand in line: a writer takes the
 * front place (a lock in the side file), waits there for SQLite's own write lock, and gives the front place
 * up once it has the write lock. So a process that commits again and again cannot overtake a waiting one, as
 * it could with SQLite's own waiting. Programs that do not use the line (the sqlite3 shell) take SQLite's
 * lock only, and writers wait for it as well. A process that was stopped in the front place blocks nobody:
 * after a moment the other writers ignore the line.
 *
 * Processes find each other by names beside the database (-wal, -shm, -lock). So all of them must use one
 * name: symbolic links are resolved, and a file with a second hard link is refused.
 *
 * Ownership: init … clear; open and close in between, any number of times. Thread-safety: one thread at a
 * time. Failure: texts begin with the file's path; see `bide_sqlite_fail` for the codes. */
#ifndef BIDE_BROKER_SQLITE_FILE_H
#define BIDE_BROKER_SQLITE_FILE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/broker.h"
#include "broker/sqlite/counts.h"
#include "broker/sqlite/lock.h"
#include "broker/sqlite/statements.h"

enum bide_sqlite_schema {
    BIDE_SQLITE_CURRENT,
    BIDE_SQLITE_OLD,    /* the namespace's tables are of an earlier version */
    BIDE_SQLITE_ABSENT, /* the file is empty, or has no tables of this namespace */
};

struct bide_sqlite_file;

/* The tables that a connection works on: the broker's (schema.h), or a store's (store/sqlite/). */
struct bide_sqlite_tables {
    /* Are they there, and in a version that this program knows? Changes nothing; within a read transaction.
     */
    bide_code (*check)(struct bide_sqlite_file *file, enum bide_sqlite_schema *ret_schema, bide_error *error);
    /* Makes or upgrades them, within a write transaction. */
    bide_code (*make)(struct bide_sqlite_file *file, bide_error *error);
};

struct bide_sqlite_file {
    const struct bide_sqlite_tables *tables;
    char *path;      /* absolute, as given: it may lead through symbolic links */
    char *lock_path; /* of the side file, beside the file that `path` leads to; NULL before the first open */
    char *name_space;
    const struct bide_clock *clock;
    bool lax;     /* ?synchronous=normal */
    sqlite3 *db;  /* NULL when closed */
    dev_t device; /* of the open file */
    ino_t inode;
    struct bide_sqlite_lock lock;
    sqlite3_stmt *statements[BIDE_SQL_COUNT];
    struct bide_sqlite_counts counts; /* the changes of the present transaction */
    int64_t busy_until_us;            /* monotonic: until when to wait for other writers */
    int wal_pages;                    /* length of the log after the last commit */
    int checked_pages;                /* length of the log at the last try of a checkpoint */
    int insist_pages;                 /* from this length on a checkpoint waits for readers */
    int64_t no_line_until_us; /* monotonic: a stopped process holds the front place; do without the line until
                                 then */
    bool synced;              /* does a commit wait for the disk? */
    bool hopeless; /* the last failure will not pass by itself: damaged, or not a database of bide's */
    bool collided; /* the last failure came from another process opening or closing at the same moment */
};

/* Purposes. A writer makes a missing file and its tables. A reader makes neither and needs no side file, but
 * upgrades older tables. A look changes nothing and can only ask about the whole file. */
enum bide_sqlite_access { BIDE_SQLITE_WRITE, BIDE_SQLITE_READ, BIDE_SQLITE_LOOK };

/* Reads the URL; touches nothing on disk. The tables are the broker's, until the caller sets others. On
 * failure nothing is left to clear. */
bide_code bide_sqlite_file_init(
    struct bide_sqlite_file *file, const struct bide_broker_options *options, bide_error *error);
void bide_sqlite_file_clear(struct bide_sqlite_file *file); /* also a zeroed one; closes it */

/* wait_us: how long to wait for other processes. On failure the file is closed again. */
bide_code bide_sqlite_file_open(
    struct bide_sqlite_file *file, enum bide_sqlite_access access, int64_t wait_us, bide_error *error);
void bide_sqlite_file_close(struct bide_sqlite_file *file);
/* Was the open file removed, moved or replaced, or does its path lead elsewhere now? */
bool bide_sqlite_file_is_gone(const struct bide_sqlite_file *file);
/* Was the side file removed, moved or replaced? */
bool bide_sqlite_file_lost_lock(const struct bide_sqlite_file *file);
/* Opens the side file again. The locks held in the former one are gone then. On failure the former one stays
 * open. */
bide_code bide_sqlite_file_renew_lock(struct bide_sqlite_file *file, bide_error *error);

/* ---- turns.c ---- */

/* For a connection that was opened just now. */
void bide_sqlite_turns_init(struct bide_sqlite_file *file);
/* Waits a moment; false once busy_until_us has passed. */
bool bide_sqlite_wait_for_others(struct bide_sqlite_file *file);

/* Begins a write transaction; `synced`: what it commits survives a power cut (unless the URL says otherwise).
 * BIDE_E_TIMEOUT when other processes kept the file locked for wait_us. */
bide_code bide_sqlite_begin(struct bide_sqlite_file *file, bool synced, int64_t wait_us, bide_error *error);
/* On failure it rolls back: nothing of the transaction is stored. */
bide_code bide_sqlite_commit(struct bide_sqlite_file *file, bide_error *error);
void bide_sqlite_rollback(struct bide_sqlite_file *file);
/* Commits where the work succeeded, else rolls back; `code`: of the work, returned where it failed. */
bide_code bide_sqlite_end(struct bide_sqlite_file *file, bide_code code, bide_error *error);

/* ---- statements.c ---- */

/* A statement of the table, prepared at first use. It belongs to the file. */
bide_code bide_sqlite_use(
    struct bide_sqlite_file *file, enum bide_sql which, sqlite3_stmt **ret_statement, bide_error *error);
/* Prepares another statement, which the caller finalizes; {table} as in statements.h. */
bide_code bide_sqlite_prepare(
    struct bide_sqlite_file *file, const char *sql, sqlite3_stmt **ret_statement, bide_error *error);
/* Runs the statement to its end and resets it. */
bide_code bide_sqlite_run(struct bide_sqlite_file *file, sqlite3_stmt *statement, bide_error *error);
/* A statement of the table that has no parameters. */
bide_code bide_sqlite_run_one(struct bide_sqlite_file *file, enum bide_sql which, bide_error *error);
/* Steps to the next row. *ret_row is false at the end; the statement is reset then. */
bide_code bide_sqlite_step(
    struct bide_sqlite_file *file, sqlite3_stmt *statement, bool *ret_row, bide_error *error);
/* One statement without results, or several, parted by semicolons. */
bide_code bide_sqlite_exec(struct bide_sqlite_file *file, const char *sql, bide_error *error);
/* The first column of the first row of a statement as a number. */
bide_code bide_sqlite_number(
    struct bide_sqlite_file *file, const char *sql, int64_t *ret_value, bide_error *error);

/* ---- failure.c ---- */

/* Reports SQLite's last failure on this connection in the user's terms: BIDE_E_BROKER (no room, disk
 * trouble), BIDE_E_TIMEOUT (other processes keep it busy), BIDE_E_CONFIG (permissions, not a database,
 * damaged), BIDE_E_NOMEM. */
bide_code bide_sqlite_fail(struct bide_sqlite_file *file, int result, bide_error *error);

#endif
