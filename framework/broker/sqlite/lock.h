/* broker/sqlite/lock.h: the side file FILE-lock: who is alive, whose turn it is, and a bell.
 *
 * What counts are open-file-description locks on single bytes of it, which the
 * kernel drops when the last descriptor of an open file goes, thus also when a process is killed, and what
 * inotify tells about it:
 *
 *   byte FRONT       the front place of the line of writers (see file.h: begin)
 *   byte of a worker  held as long as the worker lives
 *   a write          the bell: something new can be claimed   (IN_MODIFY)
 *   a close          a process left or was killed             (IN_CLOSE_WRITE)
 *
 * A lock is not shared by two objects of one process, and lives on in a child that neither executes another
 * program nor closes its descriptors. Thread-safety: one thread at a time. */
#ifndef BIDE_BROKER_SQLITE_LOCK_H
#define BIDE_BROKER_SQLITE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "bide/error.h"

struct bide_sqlite_lock {
    int fd; /* -1 when closed */
};

enum { BIDE_SQLITE_FRONT = 1 };

/* The byte a worker holds for as long as it lives. */
static inline int64_t bide_sqlite_worker_byte(int64_t number)
{
    return 16 + number;
}

/* Makes the file where it is missing, with the mode and owner of the database file `like`. `again`: there
 * should have been one, somebody removed it: its time goes into the new one (see is_new). */
bide_code bide_sqlite_lock_open(
    struct bide_sqlite_lock *lock, const char *path, const char *like, bool again, bide_error *error);
/* Opens it to look only; a file that does not exist is no failure: nobody holds anything then. */
bide_code bide_sqlite_lock_open_to_look(struct bide_sqlite_lock *lock, const char *path, bide_error *error);
void bide_sqlite_lock_close(struct bide_sqlite_lock *lock);

/* False where another one holds the byte. Never waits. */
bool bide_sqlite_lock_try(const struct bide_sqlite_lock *lock, int64_t byte);
void bide_sqlite_lock_release(const struct bide_sqlite_lock *lock, int64_t byte);
/* By another one than this. */
bool bide_sqlite_lock_is_held(const struct bide_sqlite_lock *lock, int64_t byte);
/* Has somebody removed, moved or replaced the file? */
bool bide_sqlite_lock_is_gone(const struct bide_sqlite_lock *lock, const char *path);
/* Was it made a moment ago in place of one that was removed? Workers that live may hold their bytes in that
 * one still: nobody may be judged dead by this one before they have noticed. */
bool bide_sqlite_lock_is_new(const struct bide_sqlite_lock *lock);
/* Wakes every receiver that watches. */
void bide_sqlite_lock_ring(const struct bide_sqlite_lock *lock);

#endif
