/* broker/sqlite/workers.h: registers workers, finds dead ones and gives their claims back.
 *
 * A worker is a row and a lock. Both are made in one transaction; so, seen with the write lock held, a row
 * without its lock belongs to a worker that has died. Thread-safety: one thread at a time. */
#ifndef BIDE_BROKER_SQLITE_WORKERS_H
#define BIDE_BROKER_SQLITE_WORKERS_H

#include "broker/sqlite/file.h"

/* Runs a transaction of its own. */
bide_code bide_sqlite_worker_register(
    struct bide_sqlite_file *file, const char *name, int64_t wait_us, int64_t *ret_number, bide_error *error);

/* Called in each write transaction before it claims, so that other workers see this one alive. Where its row
 * is missing, another worker took it for dead: then *ret_lost is true, all claims of its number are given
 * back, and the row is written again. The message numbers that this worker remembers may belong to other
 * messages now. BIDE_E_TIMEOUT when the lock file was removed: renew it first. */
bide_code bide_sqlite_worker_keep(
    struct bide_sqlite_file *file, const char *name, int64_t number, bool *ret_lost, bide_error *error);

/* Finds a dead worker among the others, also one that left claims but no row; at any time. *ret_number 0:
 * none. */
bide_code bide_sqlite_worker_find_dead(
    struct bide_sqlite_file *file, int64_t own, int64_t *ret_number, bide_error *error);

/* Does nobody hold the worker's lock? False while that cannot be said. */
bool bide_sqlite_worker_is_dead(const struct bide_sqlite_file *file, int64_t number);

/* Within a write transaction: makes all that the worker holds wait again, and deletes its row. */
bide_code bide_sqlite_worker_free(struct bide_sqlite_file *file, int64_t number, bide_error *error);
/* The same in a transaction of its own; and for all dead workers but `own`. */
bide_code bide_sqlite_worker_free_alone(
    struct bide_sqlite_file *file, int64_t number, int64_t wait_us, bide_error *error);
bide_code bide_sqlite_worker_free_dead(
    struct bide_sqlite_file *file, int64_t own, int64_t wait_us, bide_error *error);

#endif
