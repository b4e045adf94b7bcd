/* dispatch/board.h: which job runs next. No thread, no lock, no clock of its own: the pool brings those.
 *
 * Jobs that are early wait in the landing heap; jobs that can run wait in their queue's list. Fallen due, a
 * landed job goes before the ready ones of its queue: its moment was agreed. Between queues, `strict` takes
 * the first one that has a job; `weighted` takes them in proportion to weight (smooth weighted round robin,
 * as nginx balances upstreams: each waiting queue gains its weight, the richest is served and pays the sum),
 * so that a flood in one never starves another. A job whose handler is at its concurrency waits with the
 * handler.
 *
 * Thread-safety: under the pool's lock. Ownership: the board holds what was added until it is taken. */
#ifndef BIDE_DISPATCH_BOARD_H
#define BIDE_DISPATCH_BOARD_H

#include "config/config.h"
#include "dispatch/handler.h"
#include "dispatch/job.h"

/* What several handlers have at once, at most, together: the processes of a program. Zeroed: nothing may
 * begin. */
struct bide_share {
    int running, most;
    struct bide_handler *members; /* by next_in_share */
};

struct bide_board_queue {
    struct bide_job_list due;
    struct bide_job_list ready;
    int64_t weight;
    int64_t credit;
};

struct bide_board {
    enum bide_order order;
    struct bide_board_queue *queues;
    size_t n_queues;
    struct bide_heap landing;
    size_t n_ready;          /* in the lists of the queues */
    size_t n_blocked;        /* waiting with their handlers */
    size_t n_landed;         /* of both: fell due in the landing heap and have not begun */
    int64_t landed_first_us; /* wall: none of these fell due before */
};

bide_code bide_board_init(struct bide_board *board, const struct bide_queue_config *queues, size_t n_queues,
    enum bide_order order, bide_error *error);
void bide_board_clear(struct bide_board *board); /* must be empty of jobs */

/* To the landing heap where it is due after now (both wall). False where there is no memory for that: not
 * added. */
bool bide_board_add(struct bide_board *board, struct bide_job *job, int64_t now_wall_us, int64_t now_mono_us);

/* The next job to run, its handler counted as running; NULL where none can run now. */
struct bide_job *bide_board_take(struct bide_board *board, int64_t now_wall_us, int64_t now_mono_us);
/* After the run of a job of this handler: one that waited for it can run. */
void bide_board_finished(struct bide_board *board, struct bide_handler *handler);

/* The share of these handlers has become larger or smaller: what waited for room can run. */
void bide_board_set_share(struct bide_board *board, struct bide_share *share, int most);

/* The due time (wall µs) of the earliest landing job, or -1. */
int64_t bide_board_next_due_us(const struct bide_board *board);

/* Takes out what came early, fell due before `limit_wall_us` and has not begun, wherever it waits. */
void bide_board_withdraw_overdue(struct bide_board *board, struct bide_handlers *handlers,
    int64_t limit_wall_us, struct bide_job_list *to);
/* Takes out everything that passes the test, early ones among it. */
void bide_board_withdraw(struct bide_board *board, struct bide_handlers *handlers, bide_job_test *test,
    const void *user, struct bide_job_list *to);

#endif
