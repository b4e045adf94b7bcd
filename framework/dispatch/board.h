/* dispatch/board.h: decides which job runs next. It has no thread, lock or clock of its own: the pool calls
 * it.
 *
 * Early jobs wait in the landing heap; jobs that can run wait in their queue's list. When a landing job falls
 * due, it runs before the ready jobs of its queue, because its moment was agreed. Between queues, `strict`
 * takes the first one that has a job; `weighted` takes them in proportion to their weights (smooth weighted
 * round robin, as nginx balances upstreams: each waiting queue gains its weight as credit, the one with most
 * credit is served and pays the sum). So many jobs in one queue never starve another. A job whose handler is
 * at its concurrency waits with the handler. Jobs of a handler with `batch` gather first
 * (dispatch/filling.h); to the board a call of many messages is one job.
 *
 * Thread-safety: under the pool's lock. Ownership: the board holds a job from add until take. */
#ifndef BIDE_DISPATCH_BOARD_H
#define BIDE_DISPATCH_BOARD_H

#include "config/config.h"
#include "dispatch/handler.h"
#include "dispatch/job.h"

/* How many jobs several handlers may have at once, together: a program's processes are shared by its
 * handlers. Zeroed: none may begin. */
struct bide_share {
    int running, most;
    struct bide_handler *members; /* linked by next_in_share */
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
    struct bide_handler *fillings; /* the handlers with `batch` that have had a job, linked by filling.next */
    size_t n_ready;                /* in the lists of the queues */
    size_t n_blocked;              /* waiting with their handlers */
    size_t n_landed;               /* of both: jobs that fell due in the landing heap and have not begun */
    int64_t landed_first_us;       /* wall: the earliest due time among these, or an earlier one */
};

bide_code bide_board_init(struct bide_board *board, const struct bide_queue_config *queues, size_t n_queues,
    enum bide_order order, bide_error *error);
void bide_board_clear(struct bide_board *board); /* must be empty of jobs */

/* Adds a job, to the landing heap if it is due after now_wall_us. False without memory: then it was not
 * added. */
bool bide_board_add(struct bide_board *board, struct bide_job *job, int64_t now_wall_us, int64_t now_mono_us);

/* Takes the next job to run, with its mates, and counts its handler as running once; NULL if no job can run
 * now. */
struct bide_job *bide_board_take(struct bide_board *board, int64_t now_wall_us, int64_t now_mono_us);
/* Called after a run: a job that waited for its handler may run now. */
void bide_board_finished(struct bide_board *board, struct bide_handler *handler);

/* Changes how many jobs a share's handlers may have at once: waiting jobs may run now. */
void bide_board_set_share(struct bide_board *board, struct bide_share *share, int most);

/* The due time (wall µs) of the earliest landing job, or -1. */
int64_t bide_board_next_due_us(const struct bide_board *board);
/* When the board has something to do by itself, a job that lands or a batch that waits for no more (monotonic
 * µs); -1: nothing. */
int64_t bide_board_next_us(const struct bide_board *board, int64_t now_wall_us, int64_t now_mono_us);

/* Takes out early jobs that fell due before `limit_wall_us` and have not begun, wherever they wait. */
void bide_board_withdraw_overdue(struct bide_board *board, struct bide_handlers *handlers,
    int64_t limit_wall_us, struct bide_job_list *to);
/* Takes out all jobs that pass the test, early ones too. */
void bide_board_withdraw(struct bide_board *board, struct bide_handlers *handlers, bide_job_test *test,
    const void *user, struct bide_job_list *to);

#endif
