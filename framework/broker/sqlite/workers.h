/* broker/sqlite/workers.h: who holds claims, who of them is dead, and giving their claims back.
 *
 * A worker is a row and a lock: the row is written and the lock taken in one transaction, so that, seen with
 * the write lock in hand, a row without its lock is a worker that has died. Thread-safety: one thread at a
 * time. */
#ifndef BIDE_BROKER_SQLITE_WORKERS_H
#define BIDE_BROKER_SQLITE_WORKERS_H

#include "broker/sqlite/file.h"

/* A transaction of its own. */
bide_code bide_sqlite_worker_register(
    struct bide_sqlite_file *file, const char *name, int64_t wait_us, int64_t *ret_number, bide_error *error);

/* Within a transaction that writes, before a claim: others must see that the worker lives. Where its row is
 * missing, somebody took it for dead: *ret_lost, all claims of its number are given away (a message with such
 * a number may be another one by now), and the row is written again. BIDE_E_TIMEOUT when the lock file was
 * removed: renew it first. */
bide_code bide_sqlite_worker_keep(
    struct bide_sqlite_file *file, const char *name, int64_t number, bool *ret_lost, bide_error *error);

/* Is there a dead one among the others (also one that left claims but no row)? Any time. *ret_number 0: none.
 */
bide_code bide_sqlite_worker_find_dead(
    struct bide_sqlite_file *file, int64_t own, int64_t *ret_number, bide_error *error);

/* Does nobody hold its lock, as far as that can be said now? */
bool bide_sqlite_worker_is_dead(const struct bide_sqlite_file *file, int64_t number);

/* Within a transaction that writes: what it held waits again, and its row goes. */
bide_code bide_sqlite_worker_free(struct bide_sqlite_file *file, int64_t number, bide_error *error);

#endif
