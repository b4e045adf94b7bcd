/* broker/sqlite/watch.h: what wakes a receiver: inotify on the side file (see lock.h) and the database file.
 *
 * The log (FILE-wal) is not watched: it is written before its commit can be seen, and at every page.
 * Thread-safety: one thread at a time. */
#ifndef BIDE_BROKER_SQLITE_WATCH_H
#define BIDE_BROKER_SQLITE_WATCH_H

#include "bide/error.h"

struct bide_sqlite_watch {
    int fd;             /* to be polled; -1 when closed */
    int database, lock; /* watch descriptors; -1: none */
};

enum {
    BIDE_SQLITE_RANG = 1,    /* something new may be there to claim */
    BIDE_SQLITE_LEFT = 2,    /* a process has closed the side file: perhaps a worker that died */
    BIDE_SQLITE_TOUCHED = 4, /* one of the files may have been removed or replaced */
};

bide_code bide_sqlite_watch_open(struct bide_sqlite_watch *watch, bide_error *error);
void bide_sqlite_watch_close(struct bide_sqlite_watch *watch);
/* Watches these files instead of those before. */
bide_code bide_sqlite_watch_files(
    struct bide_sqlite_watch *watch, const char *database, const char *lock, bide_error *error);
/* What has happened since the last call: flags as above. */
unsigned bide_sqlite_watch_read(struct bide_sqlite_watch *watch);

#endif
