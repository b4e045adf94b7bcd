#include "dispatch/sandbox/inside.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "dispatch/context.h"

enum { READ_AHEAD = 16 * 1024, KEEP_BYTES = 256 * 1024, ASK_AGAIN_MS = 100 };

/* Many answers come within this time, so it only calls recv: that saves a poll. A cancellation waits so
 * long. */
enum { SOON_US = 2000 };

void bide_cell_close(struct bide_cell *cell)
{
    if (!cell)
        return;
    if (cell->fd >= 0)
        close(cell->fd);
    if (cell->pid_fd >= 0)
        close(cell->pid_fd);
    bide_wakeup_close(&cell->cancel);
    bide_buffer_release(&cell->in);
    bide_buffer_release(&cell->out);
    bide_free(cell);
}

static bide_code new_cell(struct bide_cell **ret_cell, bide_error *error)
{
    struct bide_cell *cell = bide_calloc(1, sizeof *cell);
    if (!cell)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    cell->fd = cell->pid_fd = -1;
    bide_buffer_init(&cell->in);
    bide_buffer_init(&cell->out);
    bide_code code = bide_wakeup_init(&cell->cancel, error);
    if (code == BIDE_OK)
        *ret_cell = cell;
    else
        bide_cell_close(cell);
    return code;
}

bide_code bide_cell_start(struct bide_zygote *zygote, const struct bide_handler *handler,
    struct bide_cell **ret_cell, bide_error *error)
{
    int fds[2];
    struct bide_cell *cell = NULL;
    bide_code code = new_cell(&cell, error);
    if (code != BIDE_OK)
        return code;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        bide_cell_close(cell);
        return bide_fail(error, BIDE_E_INTERNAL, "cannot create a socket pair: %s", strerror(errno));
    }
    cell->fd = fds[0];
    setsockopt(
        cell->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_usec = SOON_US}, sizeof(struct timeval));
    code = bide_zygote_spawn(zygote, handler, fds[1], cell->cancel.fd, &cell->pid, error);
    close(fds[1]);
    if (code != BIDE_OK) {
        bide_cell_close(cell);
        return code;
    }
    cell->pid_fd = pidfd_open(cell->pid, 0); /* nobody else can have its number: it was not reaped yet */
    *ret_cell = cell;
    return BIDE_OK;
}

bool bide_cell_bury(struct bide_cell *cell, struct bide_zygote *zygote, int *ret_status)
{
    bool known = bide_zygote_bury(zygote, cell->pid, ret_status);
    if (!known && !bide_zygote_is_lost(zygote))
        bide_log(BIDE_LOG_ERROR, "a sandbox does not end although it was killed: it is left behind",
            BIDE_INT("pid", cell->pid));
    bide_cell_close(cell);
    return known;
}

bool bide_cell_is_alive(const struct bide_cell *cell)
{
    struct pollfd fds[] = {{.fd = cell->fd, .events = POLLRDHUP}, {.fd = cell->pid_fd, .events = POLLIN}};
    if (bide_mono_us(bide_clock_system()) - cell->idle_since_us < SOON_US)
        return true;
    return poll(fds, 2, 0) == 0;
}

static void forget_read(struct bide_buffer *in, size_t *read)
{
    size_t left = in->size - *read;
    if (*read == 0)
        return;
    memmove(in->bytes, in->bytes + *read, left);
    in->size = left;
    in->bytes[left] = '\0';
    *read = 0;
}

static void let_go_of_much(struct bide_buffer *buffer)
{
    if (buffer->capacity > KEEP_BYTES)
        bide_buffer_release(buffer);
}

void bide_cell_rest(struct bide_cell *cell)
{
    forget_read(&cell->in, &cell->in_read);
    if (cell->in.size == 0) /* otherwise a plugin's own thread has begun a log line */
        let_go_of_much(&cell->in);
    let_go_of_much(&cell->out);
    cell->idle_since_us = bide_mono_us(bide_clock_system());
}

/* ---- waiting for a frame ---- */

static void send_some(struct bide_cell *cell)
{
    while (cell->out_sent < cell->out.size) {
        ssize_t sent = send(cell->fd, cell->out.bytes + cell->out_sent, cell->out.size - cell->out_sent,
            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0 && errno != EINTR)
            cell->out_sent = cell->out.size; /* it is dead: reading shows that */
        else
            cell->out_sent += sent > 0 ? (size_t)sent : 0;
    }
}

enum received { SOMETHING, NOTHING, THE_END, NO_MEMORY };

static enum received receive_some(struct bide_cell *cell, bool soon)
{
    forget_read(&cell->in, &cell->in_read);
    char *to = bide_buffer_reserve(&cell->in, READ_AHEAD);
    if (!to)
        return NO_MEMORY;
    ssize_t got =
        soon ? bide_sandbox_receive(cell->fd, to, READ_AHEAD) : recv(cell->fd, to, READ_AHEAD, MSG_DONTWAIT);
    if (got > 0) {
        cell->in.size += (size_t)got;
        return SOMETHING;
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? NOTHING : THE_END;
}

/* Looks for the frame that is waited for, and relays the log lines before it. */
static bool look_for(struct bide_cell *cell, enum bide_frame_kind wanted, struct bide_frame *ret_frame,
    enum bide_cell_ending *ret_ending)
{
    for (;;) {
        enum bide_frame_found found =
            bide_frame_next(cell->in.bytes, cell->in.size, &cell->in_read, ret_frame);
        if (found == BIDE_FRAME_NONE)
            return false;
        *ret_ending = BIDE_CELL_GARBLED;
        if (found == BIDE_FRAME_BROKEN)
            return true;
        if (ret_frame->kind == wanted) {
            *ret_ending = BIDE_CELL_SAID;
            return true;
        }
        if (ret_frame->kind != BIDE_FRAME_LOG || !bide_frame_relay_log(ret_frame))
            return true;
    }
}

static void tell_cancelled(struct bide_errand *errand, int64_t now_us)
{
    errand->told = true;
    bide_wakeup_signal(&errand->cell->cancel);
    errand->kill_us = now_us + errand->kill_after_us; /* counted from now, however late that is */
}

/* How long until the run must be cancelled or killed. */
static int wait_ms(const struct bide_errand *errand, int64_t now_us, bool blind)
{
    int64_t until_us = errand->told || !errand->context ? errand->kill_us : errand->context->deadline_us;
    int64_t left_us = until_us > now_us ? until_us - now_us : 0;
    int64_t ms = until_us == INT64_MAX ? -1 : (left_us + 999) / 1000;
    if (blind && (ms < 0 || ms > ASK_AGAIN_MS))
        ms = ASK_AGAIN_MS;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* Waits until the cell can be read or written, or a cancellation is passed on. False: the time to kill it has
 * come. */
static bool wait_a_while(struct bide_errand *errand)
{
    struct bide_cell *cell = errand->cell;
    const struct bide_clock *clock = errand->context ? errand->context->clock : bide_clock_system();
    bool listens = errand->context && !errand->told;
    struct pollfd fds[] = {
        {.fd = cell->fd, .events = POLLIN},
        {.fd = listens ? bide_cancel_fd(errand->context) : -1, .events = POLLIN},
        {.fd = cell->pid_fd, .events = POLLIN},
    };
    if (cell->out_sent < cell->out.size)
        fds[0].events |= POLLOUT;
    int64_t now_us = bide_mono_us(clock);
    if (now_us >= errand->kill_us)
        return false;
    int ready = poll(fds, 3, wait_ms(errand, now_us, listens && fds[1].fd < 0));
    errand->dead = ready > 0 && fds[2].revents != 0;
    if (listens && (atomic_load(&errand->context->cancelled) || now_us >= errand->context->deadline_us))
        tell_cancelled(errand, bide_mono_us(clock));
    return true;
}

enum bide_cell_ending bide_cell_await(
    struct bide_errand *errand, enum bide_frame_kind wanted, struct bide_frame *ret_frame)
{
    struct bide_cell *cell = errand->cell;
    enum bide_cell_ending ending;
    bool soon = true;
    for (;;) {
        send_some(cell);
        if (look_for(cell, wanted, ret_frame, &ending))
            return ending;
        soon = soon && cell->out_sent == cell->out.size;
        if (!soon && !wait_a_while(errand))
            return BIDE_CELL_HUNG;
        enum received received = receive_some(cell, soon);
        if (received == NO_MEMORY)
            return BIDE_CELL_GARBLED;
        if (received == THE_END || (received == NOTHING && errand->dead))
            return BIDE_CELL_DIED;
        soon = false;
    }
}
