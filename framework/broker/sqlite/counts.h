/* broker/sqlite/counts.h: how many messages of each queue wait, are ready and are dead. The numbers are kept
 * in a table, so that reading them costs the same with few and with many messages.
 *
 * A transaction collects its changes in memory and stores them at its end: one row a queue, whatever the size
 * of its batch. Whether a message is ready or delayed depends on the time of looking. So `ready` counts the
 * messages before a mark in the queue's line (due_ms, seq), and each transaction moves the mark to the
 * present. Where a queue has no row, its messages are counted one by one: at the first change, after an
 * upgrade, and after the row was deleted.
 *
 * Counts can become wrong: a person edits the file, or a worker of an older version goes on after the file
 * was upgraded. They are corrected when a claim empties the line, when they are impossible (below zero), and
 * when a worker starts and counting does not take long.
 *
 * Thread-safety: as the file's. */
#ifndef BIDE_BROKER_SQLITE_COUNTS_H
#define BIDE_BROKER_SQLITE_COUNTS_H

#include <sqlite3.h>

#include "message/message.h"

struct bide_sqlite_file;

struct bide_sqlite_count {
    char queue[BIDE_NAME_MAX + 1];
    bool unknown; /* there is no row: store counts the messages */
    int64_t waiting;
    int64_t ready;       /* how many of the waiting stand before the mark */
    int64_t due_ms, seq; /* the mark */
    int64_t dead;
};

/* The changes of the present transaction. A zeroed one is empty. */
struct bide_sqlite_counts {
    struct bide_sqlite_count *items;
    size_t n, room;
    size_t last; /* index of the item found last */
};

/* Called within a write transaction, before or after the changes that it counts. */
bide_code bide_sqlite_count_waiting(
    struct bide_sqlite_file *file, const char *queue, int64_t due_ms, int64_t seq, bide_error *error);
/* One message left the line, from this place. */
bide_code bide_sqlite_count_left(
    struct bide_sqlite_file *file, const char *queue, int64_t due_ms, int64_t seq, bide_error *error);
/* The first n messages of the line, up to this place, were claimed; `all`: the line is empty now, whatever
 * the count was. */
bide_code bide_sqlite_count_claimed(struct bide_sqlite_file *file, const char *queue, size_t n, bool all,
    int64_t due_ms, int64_t seq, bide_error *error);
/* change: 1 or -1. */
bide_code bide_sqlite_count_dead(
    struct bide_sqlite_file *file, const char *queue, int64_t change, bide_error *error);

/* Run a statement and count its rows: run_waiting, one that returns the places in line of messages that wait
 * now; run_dead, one that returns the queues of dead letters that were added (change 1) or removed (-1).
 * ret_n: how many rows; may be NULL. */
bide_code bide_sqlite_run_waiting(struct bide_sqlite_file *file, sqlite3_stmt *statement, bide_error *error);
bide_code bide_sqlite_run_dead(struct bide_sqlite_file *file, sqlite3_stmt *statement, int64_t change,
    uint64_t *ret_n, bide_error *error);

/* Commit writes the rows; commit and rollback then forget the changes. */
bide_code bide_sqlite_counts_store(struct bide_sqlite_file *file, bide_error *error);
void bide_sqlite_counts_forget(struct bide_sqlite_file *file);
void bide_sqlite_counts_release(struct bide_sqlite_file *file);

/* Reads the numbers of a queue at any time, `ready` as of now_ms. */
bide_code bide_sqlite_counts_look(struct bide_sqlite_file *file, const char *queue, int64_t now_ms,
    struct bide_sqlite_count *ret_count, bide_error *error);

#endif
