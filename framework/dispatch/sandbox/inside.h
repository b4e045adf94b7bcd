/* dispatch/sandbox/inside.h: between the files of this folder. */
#ifndef BIDE_DISPATCH_SANDBOX_INSIDE_H
#define BIDE_DISPATCH_SANDBOX_INSIDE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/wakeup.h"
#include "bide/handler.h"
#include "dispatch/sandbox/frame.h"
#include "dispatch/sandbox/zygote.h"

struct bide_handler;

/* ---- receive.c ---- */

/* What both ends of a sandbox's socket do while they wait for each other. Any thread. */

/* recv() of something that should be there in a few microseconds: lets others run a few times, in which the
 * other end has mostly answered, before it sleeps. Being woken costs more than a short run of a handler does.
 */
ssize_t bide_sandbox_receive(int fd, void *to, size_t room);

/* ---- child.c ---- */

/* The life of a sandbox child: limits, open, one message after another, close. */

/* In the child, after the fork, by its one thread. `parent`: dies with it. Serves the worker at the other end
 * of `fd` until that is closed; `cancel` is the eventfd by which a run is cancelled. */
_Noreturn void bide_sandbox_child_main(const struct bide_handler *handler, pid_t parent, int fd, int cancel);

/* ---- cell.c ---- */

/* One sandbox child, as the worker sees it, and what passes between the two.
 *
 * Thread-safety: a cell is used by one thread at a time (any): it is idle, or a run's. Inside
 * dispatch/sandbox alone. */

struct bide_cell {
    struct bide_cell *next;
    pid_t pid;
    int pid_fd; /* readable once it is dead, even where what it forked keeps the socket open */
    int fd;
    struct bide_wakeup cancel; /* which has it as its bide_cancel_fd */
    struct bide_buffer in;
    size_t in_read; /* so much of it has been dealt with */
    struct bide_buffer out;
    size_t out_sent;
    int64_t idle_since_us; /* monotonic */
};

/* Has one forked; it opens the handler and then says READY. */
bide_code bide_cell_start(struct bide_zygote *zygote, const struct bide_handler *handler,
    struct bide_cell **ret_cell, bide_error *error);
/* Closes its socket, at which an idle child ends by itself, and frees the cell. NULL is fine. */
void bide_cell_close(struct bide_cell *cell);
/* Kills it, whatever it does, and frees the cell. False where its status cannot be known: the zygote has
 * ended, or the child does not end although it was killed (logged). */
bool bide_cell_bury(struct bide_cell *cell, struct bide_zygote *zygote, int *ret_status);
/* Of an idle one; taken for granted where it has only just become that. Its log lines may wait to be read. */
bool bide_cell_is_alive(const struct bide_cell *cell);
/* Between two runs: lets go of what a large message took. */
void bide_cell_rest(struct bide_cell *cell);

/* What a cell is waited for. */
struct bide_errand {
    struct bide_cell *cell;
    struct bide_context *context; /* NULL: no run yet, and no limit */
    int64_t kill_us;              /* monotonic; INT64_MAX: it has not been told to return */
    int64_t kill_after_us;
    bool told; /* that it is cancelled */
    bool dead; /* what it said before may still have to be read */
};

enum bide_cell_ending {
    BIDE_CELL_SAID,
    BIDE_CELL_DIED,
    BIDE_CELL_HUNG,    /* it had its time */
    BIDE_CELL_GARBLED, /* it says what is no frame, or no frame for now; or there is no memory for it */
};

/* Sends what is to be sent, passes on cancellation, relays log lines, and reads until the child has said a
 * frame of the wanted kind; its bytes lie in cell->in until the next call. */
enum bide_cell_ending bide_cell_await(
    struct bide_errand *errand, enum bide_frame_kind wanted, struct bide_frame *ret_frame);

#endif
