#include "dispatch/sandbox/inside.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dispatch/context.h"
#include "dispatch/handler.h"
#include "dispatch/limits.h"
#include "dispatch/sandbox/frame.h"

enum { READ_AHEAD = 4096, ANSWER_BYTES = 1024, KEEP_BYTES = 256 * 1024 };

struct child {
    const struct bide_handler *handler;
    int fd;
    pthread_mutex_t sending; /* a plugin's own threads may log */
    struct bide_buffer in;
    struct bide_buffer out;
    struct bide_context context;
    void *state;
};

/* ---- talking ---- */

static bool send_all(struct child *child, const struct bide_buffer *from)
{
    size_t done = 0;
    pthread_mutex_lock(&child->sending);
    while (done < from->size) {
        ssize_t sent = send(child->fd, from->bytes + done, from->size - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            break;
        done += sent > 0 ? (size_t)sent : 0;
    }
    pthread_mutex_unlock(&child->sending);
    return done == from->size;
}

static void log_to_worker(void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    int kept_errno = errno;
    struct bide_buffer line;
    bide_buffer_init(&line);
    bide_frame_add_log(&line, level, text, fields);
    if (!line.failed)
        send_all(user, &line);
    bide_buffer_release(&line);
    errno = kept_errno;
}

/* False if the worker has gone, or has closed the socket. */
static bool receive_frame(struct child *child, struct bide_frame *ret_frame)
{
    size_t offset = 0;
    bide_buffer_clear(&child->in);
    for (;;) {
        enum bide_frame_found found = bide_frame_next(child->in.bytes, child->in.size, &offset, ret_frame);
        if (found != BIDE_FRAME_NONE)
            return found == BIDE_FRAME_WHOLE;
        size_t room = bide_frame_lacks(child->in.bytes, child->in.size);
        room = room > READ_AHEAD ? room : READ_AHEAD;
        char *to = bide_buffer_reserve(&child->in, room);
        ssize_t got = to ? bide_sandbox_receive(child->fd, to, room) : 0;
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        child->in.size += got > 0 ? (size_t)got : 0;
    }
}

/* ---- a message ---- */

static bool answer(struct child *child, bide_outcome outcome, const struct bide_run *run)
{
    static char no_memory[] = "out of memory in the sandbox, after the handler had returned";
    bide_buffer_clear(&child->out);
    bide_frame_add_answer(&child->out, outcome, run);
    if (child->out.failed) { /* uses only memory that was allocated at the start */
        const struct bide_run failure = {.delay_ms = BIDE_BY_POLICY, .error = no_memory};
        bide_buffer_clear(&child->out);
        bide_frame_add_answer(&child->out, BIDE_RETRY, &failure);
    }
    return !child->out.failed && send_all(child, &child->out);
}

static void let_go_of_much(struct bide_buffer *buffer)
{
    if (buffer->capacity <= KEEP_BYTES)
        return;
    bide_buffer_release(buffer);
    bide_buffer_reserve(buffer, ANSWER_BYTES);
}

static bool run_message(
    struct child *child, struct bide_message *message, const struct bide_frame_times *times)
{
    struct bide_context *context = &child->context;
    struct bide_handler handler = *child->handler;
    struct bide_delivery delivery = {.message = message};
    struct bide_job job = {.delivery = &delivery, .handler = &handler};
    bide_limits_begin_message(&handler.config->limits);
    bide_context_begin(context, &job, times->started_us, 0);
    context->deadline_us = times->deadline_us;
    bide_outcome outcome = handler.plugin->descriptor.handle(child->state, message, context);
    bool answered = answer(child, outcome, &job.run);
    bide_run_release(&job.run);
    return answered;
}

static bool run_frame(struct child *child, const struct bide_frame *frame)
{
    struct bide_frame_times times;
    struct bide_message *message = frame->kind == BIDE_FRAME_RUN ? bide_frame_read_run(frame, &times) : NULL;
    if (!message) {
        char no_memory[] = "out of memory in the sandbox: the handler has not run";
        return answer(child, BIDE_RETRY, &(struct bide_run){.delay_ms = BIDE_BY_POLICY, .error = no_memory});
    }
    bool answered = run_message(child, message, &times);
    bide_message_destroy(message);
    let_go_of_much(&child->in);
    let_go_of_much(&child->out);
    return answered;
}

static void serve(struct child *child)
{
    struct bide_frame frame;
    while (receive_frame(child, &frame) && run_frame(child, &frame))
        ;
    if (child->handler->plugin->descriptor.close)
        child->handler->plugin->descriptor.close(child->state);
}

/* ---- the beginning ---- */

static void settle_in(const struct bide_handler *handler, pid_t parent)
{
    char name[16];
    setpgid(0, 0); /* so that the processes it starts are killed with it */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* the zygote died before the line above */
        _exit(EXIT_FAILURE);
    snprintf(name, sizeof name, "bide:%s", handler->config->type);
    prctl(PR_SET_NAME, name);
}

static bool get_ready(struct child *child)
{
    bide_error error = {0};
    bide_buffer_reserve(&child->out, ANSWER_BYTES);
    bide_code code = bide_limits_apply(&child->handler->config->limits, &error);
    if (code != BIDE_OK)
        bide_fail_within(&error, "handler '%s'", child->handler->config->type);
    else
        code = bide_handler_open_state(child->handler, &child->state, &error);
    bide_frame_add_ready(&child->out, code, error.text);
    return send_all(child, &child->out) && code == BIDE_OK;
}

_Noreturn void bide_sandbox_child_main(const struct bide_handler *handler, pid_t parent, int fd, int cancel)
{
    struct child child = {.handler = handler, .fd = fd, .sending = PTHREAD_MUTEX_INITIALIZER};
    settle_in(handler, parent);
    bide_buffer_init(&child.in);
    bide_buffer_init(&child.out);
    bide_context_init(&child.context, bide_clock_system());
    child.context.sandboxed = true;
    child.context.cancel.fd = cancel;
    atomic_store(&child.context.has_cancel_fd, true);
    bide_log_set_sink(log_to_worker, &child);
    if (get_ready(&child))
        serve(&child);
    _exit(EXIT_SUCCESS);
}
