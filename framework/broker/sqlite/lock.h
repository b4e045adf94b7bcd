/* broker/sqlite/lock.h: the side file FILE-lock: which workers live, which writer is next, and a bell.
 *
 * It works by open-file-description locks on single bytes of the file, and by inotify events about the file.
 * The kernel drops such a lock when the last descriptor of the open file is closed, also when the process is
 * killed.
 *
 *   byte FRONT       the front place of the line of writers (see file.h: begin)
 *   byte of a worker  held as long as the worker lives
 *   byte of a session held as long as a store's session lives (store/sqlite/)
 *   a write          the bell: a message can be claimed       (IN_MODIFY)
 *   a close          a process left or was killed             (IN_CLOSE_WRITE)
 *
 * Two objects of one process do not share a lock. A lock lives on in a child that neither executes another
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

/* The byte of a store's session. */
static inline int64_t bide_sqlite_session_byte(int64_t number)
{
    return ((int64_t)1 << 40) + number;
}

/* Makes the file where it is missing, with the mode and owner of the database file `like`. `again`: the
 * former file was removed; the new one then says when it was made (see is_new). */
bide_code bide_sqlite_lock_open(
    struct bide_sqlite_lock *lock, const char *path, const char *like, bool again, bide_error *error);
/* Opens the file to look only. It may be missing: then nobody holds a lock. */
bide_code bide_sqlite_lock_open_to_look(struct bide_sqlite_lock *lock, const char *path, bide_error *error);
void bide_sqlite_lock_close(struct bide_sqlite_lock *lock);

/* False where another object holds the byte. Never waits. */
bool bide_sqlite_lock_try(const struct bide_sqlite_lock *lock, int64_t byte);
/* All of n bytes, or none: false where another object holds one of them. */
bool bide_sqlite_lock_try_all(const struct bide_sqlite_lock *lock, int64_t first, int64_t n);
void bide_sqlite_lock_release(const struct bide_sqlite_lock *lock, int64_t byte);
/* Does another object than this one hold the byte? */
bool bide_sqlite_lock_is_held(const struct bide_sqlite_lock *lock, int64_t byte);
/* Was the file removed, moved or replaced? */
bool bide_sqlite_lock_is_gone(const struct bide_sqlite_lock *lock, const char *path);
/* Was the file made a moment ago in place of a removed one? Live workers may still hold their bytes in the
 * removed one, so no worker may be judged dead by the new one yet. */
bool bide_sqlite_lock_is_new(const struct bide_sqlite_lock *lock);
/* Wakes every receiver that watches. */
void bide_sqlite_lock_ring(const struct bide_sqlite_lock *lock);

#endif
