/* dispatch/sandbox/inside.h: shared by the files of this folder. */
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

/* How both ends of a sandbox's socket wait for each other. Any thread. */

/* recv() of data that should come within a few microseconds: lets other threads run a few times before it
 * sleeps. Mostly the other end has answered by then. Being woken would cost more than a short run. */
ssize_t bide_sandbox_receive(int fd, void *to, size_t room);

/* ---- child.c ---- */

/* The life of a sandbox child: limits, open, one message after another, close. */

/* Runs in the child, after the fork, on its one thread. It dies with `parent`. Serves the worker at the other
 * end of `fd` until that is closed; `cancel` is the eventfd by which a run is cancelled. */
_Noreturn void bide_sandbox_child_main(const struct bide_handler *handler, pid_t parent, int fd, int cancel);

/* ---- cell.c ---- */

/* One sandbox child, as the worker sees it, and the frames between the two.
 *
 * Thread-safety: a cell is used by one thread at a time (any): it is idle, or belongs to a run. Only for this
 * folder. */

struct bide_cell {
    struct bide_cell *next;
    pid_t pid;
    int pid_fd; /* readable once the child is dead, even if a process that it forked holds the socket open */
    int fd;
    struct bide_wakeup cancel; /* the child uses it as its bide_cancel_fd */
    struct bide_buffer in;
    size_t in_read; /* bytes of `in` that were processed */
    struct bide_buffer out;
    size_t out_sent;
    int64_t idle_since_us; /* monotonic */
};

/* Lets the zygote fork a child, which opens the handler and then sends READY. */
bide_code bide_cell_start(struct bide_zygote *zygote, const struct bide_handler *handler,
    struct bide_cell **ret_cell, bide_error *error);
/* Closes its socket, whereupon an idle child ends, and frees the cell. NULL is fine. */
void bide_cell_close(struct bide_cell *cell);
/* Kills the child and frees the cell. False if its status cannot be known: the zygote has ended, or the child
 * does not end although it was killed (logged). */
bool bide_cell_bury(struct bide_cell *cell, struct bide_zygote *zygote, int *ret_status);
/* Is an idle child alive? Assumed to be if it became idle a moment ago. Its log lines may still be unread. */
bool bide_cell_is_alive(const struct bide_cell *cell);
/* Called between two runs: frees large buffers. */
void bide_cell_rest(struct bide_cell *cell);

/* Something that a cell is waited for: READY, or the answer of a run. */
struct bide_errand {
    struct bide_cell *cell;
    struct bide_context *context; /* NULL: no run yet, and no time limit */
    int64_t kill_us;              /* monotonic; INT64_MAX: it has not been cancelled */
    int64_t kill_after_us;
    bool told; /* the child was told that the run is cancelled */
    bool dead; /* the child is dead; its last bytes may still be unread */
};

enum bide_cell_ending {
    BIDE_CELL_SAID,
    BIDE_CELL_DIED,
    BIDE_CELL_HUNG,    /* its time was over */
    BIDE_CELL_GARBLED, /* it sent an invalid or unexpected frame, or there is no memory for it */
};

/* Writes the cell's bytes, passes on cancellation, relays log lines, and reads until the child has sent a
 * frame of the wanted kind, whose bytes are in cell->in until the next call. */
enum bide_cell_ending bide_cell_await(
    struct bide_errand *errand, enum bide_frame_kind wanted, struct bide_frame *ret_frame);

#endif
