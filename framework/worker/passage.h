/* worker/passage.h: the way of a delivery through a worker.
 *
 *   take_in ─> gates ─> (quarantine) ─> pool ─> collect ─> gates, in reverse order ─> decide ─> settle
 *               ^ │                                                                        │ ^
 *               └ clerk (store)                                                      clerk ┘
 *
 * Thread-safety: the intake thread's. Ownership: it holds each delivery from take_in until it is settled. */
#ifndef BIDE_WORKER_PASSAGE_H
#define BIDE_WORKER_PASSAGE_H

#include "base/arena.h"
#include "dispatch/pool.h"
#include "worker/gates/gates.h"
#include "worker/prefetch.h"
#include "worker/settling.h"

struct bide_passage {
    struct bide_site site;
    struct bide_gates gates;
    struct bide_settling settling;
    struct bide_pool *pool;
    struct bide_prefetch *prefetch; /* by queue */
    struct bide_arena jobs;
    struct bide_job_list free_jobs;
    struct bide_job_list parked; /* wait for what the clerk answers to others */
    size_t out;                  /* jobs in the pool's hands */
    uint64_t received;           /* deliveries, ever */
    int64_t look_us;             /* monotonic: the next look for what has waited too long */
    bool draining;               /* takes nothing new in */
    bool cutting;                /* what runs has been told to return */
};

/* In zeroed memory. clear: after the pool has given everything back; also after a failed init or begin. */
bide_code bide_passage_init(struct bide_passage *passage, const struct bide_site *site, bide_error *error);
void bide_passage_clear(struct bide_passage *passage);
/* Before the first delivery: opens the gates. site.supervised is set. */
bide_code bide_passage_begin(struct bide_passage *passage, bide_error *error);

/* A delivery is here: past the gates and into `jobs`, or into the quarantine, or settled at once. wall_us:
 * now. */
void bide_passage_take_in(struct bide_passage *passage, struct bide_delivery *delivery, int64_t wall_us,
    struct bide_job_list *jobs);
/* What has come back from the clerk goes on where it waited: what may start now is in `jobs` then, as with
 * take_in. What was stopped meanwhile goes back. `jobs` is empty before. There is a clerk. */
void bide_passage_take_answers(struct bide_passage *passage, int64_t wall_us, struct bide_job_list *jobs);
/* It is not with the pool (any more): what becomes of it. */
void bide_passage_settle(struct bide_passage *passage, struct bide_job *job);

/* ---- the steps of a round ---- */

/* Settles what has run, and what landed and found no thread. */
void bide_passage_collect(struct bide_passage *passage);
/* Takes in what the broker has, and submits what may start now. An error is the receiver's. */
bide_code bide_passage_receive(struct bide_passage *passage, size_t *ret_n, bide_error *error);
/* Gives back what a gate stops now, and tells the receiver how much of each queue is wanted. At the start
 * alone: the prefetch is adapted only when something has been received, since it then asks whether the pool
 * ran dry, once. */
void bide_passage_ask_gates(struct bide_passage *passage, int64_t now_us);
/* Once a round: gives back what has waited too long, adapts the prefetch, asks the gates. */
void bide_passage_adapt(struct bide_passage *passage, int64_t now_us);
/* How soon the next round should come (µs) for what is in here. */
int64_t bide_passage_wait_us(struct bide_passage *passage, int64_t at_most_us);

/* ---- the end ---- */

/* Nothing new from now on; all that has not begun goes back. Says how much that is. */
size_t bide_passage_drain(struct bide_passage *passage);
/* After the pool and the clerk have been stopped: what they still hold is forgotten, and the broker hands it
 * out again. Says how many deliveries. */
size_t bide_passage_forget(struct bide_passage *passage);
size_t bide_passage_in_hand(const struct bide_passage *passage);
/* … of which so many wait for the store. */
size_t bide_passage_waiting(const struct bide_passage *passage);

#endif
