/* broker/sqlite/file.h: one connection to the database file, and how its transactions take turns.
 *
 * Each sender, receiver and admin has a connection of its own. Writers stand in line: whoever wants to write
 * takes the front place (a lock in the side file), waits there for SQLite's own write lock, and gives the
 * place up once it has that. So a process that commits again and again cannot overtake one that waits, which
 * SQLite's own waiting allows. Programs that know nothing of the line (the sqlite3 shell) are waited for as
 * well. A process that was stopped in the front place blocks nobody: after a moment the others do without
 * the line.
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

struct bide_sqlite_file {
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
    struct bide_sqlite_counts counts; /* of the present transaction */
    int64_t busy_until_us;            /* monotonic: how long to wait for others */
    int wal_pages;                    /* after the last commit */
    int checked_pages;                /* of these, when a checkpoint was last tried */
    int insist_pages;                 /* so many make the next checkpoint wait for readers */
    int64_t no_line_until_us; /* monotonic: somebody blocks the front place, do without it until then */
    bool synced;              /* does a commit wait for the disk? */
    bool hopeless;            /* the last failure is one that no waiting mends: damaged, or not ours */
    bool collided;            /* the last failure came of another one opening or closing at the same moment */
};

/* What for: a writer makes a missing file and its tables; a reader does neither and needs no side file, but
 * brings older tables up to date; a look changes nothing and can only ask what concerns the whole file. */
enum bide_sqlite_access { BIDE_SQLITE_WRITE, BIDE_SQLITE_READ, BIDE_SQLITE_LOOK };

/* Reads the URL; touches nothing on disk. On failure nothing is left to clear. */
bide_code bide_sqlite_file_init(
    struct bide_sqlite_file *file, const struct bide_broker_options *options, bide_error *error);
void bide_sqlite_file_clear(struct bide_sqlite_file *file); /* also a zeroed one; closes */

/* wait_us: how long other processes may keep us waiting. On failure it is closed again. */
bide_code bide_sqlite_file_open(
    struct bide_sqlite_file *file, enum bide_sqlite_access access, int64_t wait_us, bide_error *error);
void bide_sqlite_file_close(struct bide_sqlite_file *file);
/* Has somebody removed, moved or replaced the open file, or does its path lead elsewhere now? */
bool bide_sqlite_file_is_gone(const struct bide_sqlite_file *file);
/* Has somebody removed, moved or replaced the side file? */
bool bide_sqlite_file_lost_lock(const struct bide_sqlite_file *file);
/* Opens the side file anew; the locks held in the former one are gone. On failure that one stays. */
bide_code bide_sqlite_file_renew_lock(struct bide_sqlite_file *file, bide_error *error);

/* A transaction that writes; `synced`: what it commits survives a power cut (unless the URL says otherwise).
 * BIDE_E_TIMEOUT when others kept the file for wait_us. */
bide_code bide_sqlite_begin(struct bide_sqlite_file *file, bool synced, int64_t wait_us, bide_error *error);
/* On failure nothing of it is stored; rolls back by itself. */
bide_code bide_sqlite_commit(struct bide_sqlite_file *file, bide_error *error);
void bide_sqlite_rollback(struct bide_sqlite_file *file);

/* A statement of the table, prepared at first use; it belongs to the file. */
bide_code bide_sqlite_use(
    struct bide_sqlite_file *file, enum bide_sql which, sqlite3_stmt **ret_statement, bide_error *error);
/* Prepares a statement of one's own; {table} as in statements.h. */
bide_code bide_sqlite_prepare(
    struct bide_sqlite_file *file, const char *sql, sqlite3_stmt **ret_statement, bide_error *error);
/* Runs it to its end and resets it. */
bide_code bide_sqlite_run(struct bide_sqlite_file *file, sqlite3_stmt *statement, bide_error *error);
/* A statement of the table that has no parameters. */
bide_code bide_sqlite_run_one(struct bide_sqlite_file *file, enum bide_sql which, bide_error *error);
/* To the next row; *ret_row false (and reset) at the end. */
bide_code bide_sqlite_step(
    struct bide_sqlite_file *file, sqlite3_stmt *statement, bool *ret_row, bide_error *error);
/* One statement without results, or several, parted by semicolons. */
bide_code bide_sqlite_exec(struct bide_sqlite_file *file, const char *sql, bide_error *error);
/* The first column of the first row of a statement as a number. */
bide_code bide_sqlite_number(
    struct bide_sqlite_file *file, const char *sql, int64_t *ret_value, bide_error *error);

/* Says what SQLite's last failure on this connection means for the user: BIDE_E_BROKER (no room, disk
 * trouble), BIDE_E_TIMEOUT (others keep it busy), BIDE_E_CONFIG (permissions, not a database, damaged),
 * BIDE_E_NOMEM. */
bide_code bide_sqlite_fail(struct bide_sqlite_file *file, int result, bide_error *error);

#endif
