/* worker/gates/quarantine.h: where messages wait that may bring the process down.
 *
 * What is known from a crash, and all of a type that keeps crashing (shared/crashes.h), runs one at a
 * time: once the others had their turn, once all that has run is settled for good, and then for a moment
 * alone, the longer the more deaths it was near. So a crash that can be foreseen costs the others little, and
 * a type that always crashes leaves most of the time to those that do not. What does not fit in here goes
 * back to the broker for a while, without burning an attempt: of each queue's prefetch, suspects have at most
 * half (but always one).
 *
 * Thread-safety: the intake thread's. Ownership: it holds the jobs given to it until they are admitted or
 * taken out. */
#ifndef BIDE_WORKER_GATES_QUARANTINE_H
#define BIDE_WORKER_GATES_QUARANTINE_H

#include "dispatch/job.h"

struct bide_quarantine {
    struct bide_job_list waiting; /* to run one at a time */
    struct bide_job_list held;    /* good ones that wait for the moment to pass */
    size_t room;                  /* of `waiting` */
    bool runs;                    /* one is with the pool */
    size_t running_queue;         /* the queue that one came from */
    int64_t others_us;            /* when others were last seen; monotonic, as all here */
    int64_t turn_us;              /* not before, while there are others */
    int64_t quiet_ends_us;        /* nothing else is started until then; 0: not quiet */
};

void bide_quarantine_init(struct bide_quarantine *quarantine, size_t threads, int64_t now_us);
/* For one more of this queue, whose prefetch is `limit`. */
bool bide_quarantine_is_full(const struct bide_quarantine *quarantine, size_t queue, size_t limit);
/* Once a round, with what has just come in (`jobs`) and the number of those in the pool: leaves in `jobs`
 * what may start now. settled: all that has run is settled for good. */
void bide_quarantine_admit(
    struct bide_quarantine *quarantine, struct bide_job_list *jobs, size_t out, bool settled, int64_t now_us);
/* The one that ran has returned. */
void bide_quarantine_ran(struct bide_quarantine *quarantine, int64_t now_us);
/* What waits and passes the test (NULL: everything), out of it. */
void bide_quarantine_withdraw(
    struct bide_quarantine *quarantine, bide_job_test *test, const void *user, struct bide_job_list *to);
/* How soon admit must be called again (µs); -1: not by itself. */
int64_t bide_quarantine_wait_us(const struct bide_quarantine *quarantine);

#endif
