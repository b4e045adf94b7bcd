/* dispatch/filling.h: gathers the messages of a handler with `batch` for its next call. A part of the board:
 * no thread, lock or clock of its own.
 *
 * What could run now waits with its handler until there are `batch` of them, or the first has waited for
 * batch_wait (or a permit of one would be over). Then the filling is ripe: one of its jobs, the lead, goes to
 * the lists of its queue like any other job, and waits there for a thread and for its handler's concurrency.
 * When it is taken, it takes the others along as its mates, as many as there are by then.
 *
 * A job that must run alone (a suspect, a probe, one apart) never comes here.
 *
 * Thread-safety and ownership: as the board's. */
#ifndef BIDE_DISPATCH_FILLING_H
#define BIDE_DISPATCH_FILLING_H

#include "dispatch/board.h"

/* Does this job wait for others? */
bool bide_filling_takes(const struct bide_job *job, int64_t now_mono_us);
/* now_mono_us: when it could have run, at the latest now. */
void bide_filling_add(struct bide_board *board, struct bide_job *job, int64_t now_mono_us);
/* Chooses the lead of every filling that is ripe and has none yet. */
void bide_filling_ripen(
    const struct bide_board *board, int64_t now_wall_us, int64_t now_mono_us, struct bide_job_list *leads);
/* The job was taken: gives it its mates if it leads. Returns the next lead where those that are left are
 * ripe; else NULL. */
struct bide_job *bide_filling_taken(struct bide_job *job, int64_t now_wall_us, int64_t now_mono_us);
/* When the next filling is ripe (monotonic); INT64_MAX: none waits for that. */
int64_t bide_filling_next_us(const struct bide_board *board);

/* Takes out what landed before `limit_wall_us` and has waited since then with a lead that no thread took. */
void bide_filling_withdraw_overdue(struct bide_board *board, int64_t limit_wall_us, struct bide_job_list *to);
/* Takes out what passes the test, but for leads: those are in the lists of the board. */
void bide_filling_withdraw(
    struct bide_board *board, bide_job_test *test, const void *user, struct bide_job_list *to);
/* Jobs were taken out of the board's lists, from `first` on: a filling may have lost its lead. */
void bide_filling_withdrawn(struct bide_job *first);

#endif
