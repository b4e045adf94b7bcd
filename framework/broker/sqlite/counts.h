/* broker/sqlite/counts.h: how many messages of each queue wait, are ready and are dead, kept in a table, so
 * that looking does not cost more the more there are.
 *
 * A transaction notes what it changes in memory and stores it at its end: one row a queue, whatever its
 * batch. Ready and delayed differ by the time of looking; so a row counts as `ready` what stands before a
 * mark in the queue's line (due_ms, seq), and each transaction moves the mark on to the present. A queue
 * without a row is counted by its rows: at the first change, after an upgrade, and after the row was deleted.
 *
 * Counts may become wrong: somebody edits the file, or a worker of an older version goes on beside the one
 * that has upgraded the file. They are put right when a claim empties the line, when they are impossible
 * (less than none), and when a worker starts and counting does not take long.
 *
 * Thread-safety: as the file. */
#ifndef BIDE_BROKER_SQLITE_COUNTS_H
#define BIDE_BROKER_SQLITE_COUNTS_H

#include <sqlite3.h>

#include "message/message.h"

struct bide_sqlite_file;

struct bide_sqlite_count {
    char queue[BIDE_NAME_MAX + 1];
    bool unknown; /* without a row: to be counted when it is stored */
    int64_t waiting;
    int64_t ready;       /* of these, the ones up to the mark */
    int64_t due_ms, seq; /* the mark */
    int64_t dead;
};

/* What the present transaction changes. A zeroed one is empty. */
struct bide_sqlite_counts {
    struct bide_sqlite_count *items;
    size_t n, room;
    size_t last; /* the one found last */
};

/* Within a transaction that writes, in any order with the changes themselves. */
bide_code bide_sqlite_count_waiting(
    struct bide_sqlite_file *file, const char *queue, int64_t due_ms, int64_t seq, bide_error *error);
/* n, the first ones of the line up to this place, were claimed; `all`: the line is empty now, whatever the
 * count was. */
bide_code bide_sqlite_count_claimed(struct bide_sqlite_file *file, const char *queue, size_t n, bool all,
    int64_t due_ms, int64_t seq, bide_error *error);
/* change: 1 or -1. */
bide_code bide_sqlite_count_dead(
    struct bide_sqlite_file *file, const char *queue, int64_t change, bide_error *error);

/* Run a statement that returns the places in line of what waits now, or the queues of letters that have come
 * (change 1) or gone (-1), and count them. ret_n: how many; may be NULL. */
bide_code bide_sqlite_run_waiting(struct bide_sqlite_file *file, sqlite3_stmt *statement, bide_error *error);
bide_code bide_sqlite_run_dead(struct bide_sqlite_file *file, sqlite3_stmt *statement, int64_t change,
    uint64_t *ret_n, bide_error *error);

/* By commit: writes the rows. By commit and rollback: forgets what was noted. */
bide_code bide_sqlite_counts_store(struct bide_sqlite_file *file, bide_error *error);
void bide_sqlite_counts_forget(struct bide_sqlite_file *file);
void bide_sqlite_counts_release(struct bide_sqlite_file *file);

/* Any time: what waits, what of that is due at now_ms, and what is dead. */
bide_code bide_sqlite_counts_look(struct bide_sqlite_file *file, const char *queue, int64_t now_ms,
    struct bide_sqlite_count *ret_count, bide_error *error);

#endif
