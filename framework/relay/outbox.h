/* relay/outbox.h: the inside of an outbox source, for its files:
 *
 *   outbox.c        life, and the calls of a source
 *   outbox_rows.c   rows become messages
 *   outbox_watch.c  when to look again
 *
 * The database is an application's. The relay reads and writes bide_outbox in it, and nothing else: it sets
 * no pragma, makes no table, and keeps no transaction open while it waits for a broker. Thread-safety: one
 * thread at a time. */
#ifndef BIDE_RELAY_OUTBOX_H
#define BIDE_RELAY_OUTBOX_H

#include <sqlite3.h>
#include <sys/types.h>

#include "relay/source.h"
#include "relay/turn.h"

/* ---- outbox_watch.c ---- */

/* Sees by inotify that somebody writes into the database or its log (FILE-wal). The write is seen before the
 * commit that ends it: so after an event there are several looks, each after a longer pause. Where inotify
 * sees nothing (network folders), the fallback of a second holds. */
struct bide_outbox_watch {
    int fd; /* -1: none */
    int database, log;
    unsigned looks;    /* since the last event, until the pauses are the fallback */
    bool is_stirred;   /* there was an event before the last look */
    int64_t looked_us; /* monotonic */
};

void bide_outbox_watch_open(struct bide_outbox_watch *watch);
void bide_outbox_watch_close(struct bide_outbox_watch *watch);
/* Watches this database; what is missing is watched once it is there. */
void bide_outbox_watch_file(struct bide_outbox_watch *watch, const char *path);
/* There may be a row soon: begins with the shortest pause again. */
void bide_outbox_watch_soon(struct bide_outbox_watch *watch);
/* To be called with each look. Reads the events. *ret_touched: the file may be another one now. */
void bide_outbox_watch_look(
    struct bide_outbox_watch *watch, const char *path, int64_t now_us, bool *ret_touched);
void bide_outbox_watch_wait(
    const struct bide_outbox_watch *watch, int64_t now_us, struct bide_wait *ret_wait);

/* ---- outbox_rows.c ---- */

/* Together with the row's number and id it says which row is meant: a number may be given again once its row
 * is deleted. The number is `seq` in the table that bide makes, but may be another one in an application's.
 */
#define BIDE_OUTBOX_SENT "coalesce(CAST(sent_ms AS INTEGER), 0)"
/* Columns of the statement that reads. */
#define BIDE_OUTBOX_COLUMNS                                                                                  \
    "rowid, CAST(id AS TEXT), type, queue, CASE WHEN length(body) <= ?2 THEN body END, length(body), "       \
    "content_type, headers, due_ms, expires_ms, " BIDE_OUTBOX_SENT

/* The item of the present row. A row that can be no message is REFUSED, with the reason. BIDE_E_NOMEM. */
bide_code bide_outbox_read(sqlite3_stmt *row, const struct bide_source_options *options,
    struct bide_taken *ret_item, bide_error *error);

#endif
