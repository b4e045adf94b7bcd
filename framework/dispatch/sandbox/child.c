#include "dispatch/sandbox/inside.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "dispatch/call.h"
#include "dispatch/handler.h"
#include "dispatch/limits.h"
#include "dispatch/sandbox/frame.h"

enum { READ_AHEAD = 4096, ANSWER_BYTES = 1024, KEEP_BYTES = 256 * 1024 };

struct child {
    const struct bide_handler *handler;
    int fd;
    pthread_mutex_t sending; /* a plugin's own threads may log */
    struct bide_buffer in;
    size_t in_read; /* bytes of `in` that were taken */
    struct bide_buffer out;
    struct bide_context context;
    struct bide_call call; /* of batches */
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

/* The frames of a batch come together: what follows the one that was taken stays. */
static void forget_read(struct child *child)
{
    struct bide_buffer *in = &child->in;
    if (child->in_read == in->size) {
        bide_buffer_clear(in);
    } else if (child->in_read > 0) {
        memmove(in->bytes, in->bytes + child->in_read, in->size - child->in_read);
        in->size -= child->in_read;
    }
    child->in_read = 0;
}

/* False if the worker has gone, or has closed the socket. The frame is valid until the next call. */
static bool receive_frame(struct child *child, struct bide_frame *ret_frame)
{
    for (;;) {
        enum bide_frame_found found =
            bide_frame_next(child->in.bytes, child->in.size, &child->in_read, ret_frame);
        if (found != BIDE_FRAME_NONE)
            return found == BIDE_FRAME_WHOLE;
        forget_read(child);
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

/* Appends an answer to `out`. Without memory: one that says so. */
static void add_answer(struct child *child, bide_outcome outcome, const struct bide_run *run)
{
    static char no_memory[] = "out of memory in the sandbox, after the handler had returned";
    size_t before = child->out.size;
    bide_frame_add_answer(&child->out, outcome, run);
    if (!child->out.failed)
        return;
    const struct bide_run failure = {.delay_ms = BIDE_BY_POLICY, .error = no_memory};
    child->out.failed = false;
    child->out.size = before;
    bide_frame_add_answer(&child->out, BIDE_RETRY, &failure);
}

static bool send_answers(struct child *child)
{
    bool sent = !child->out.failed && send_all(child, &child->out);
    bide_buffer_clear(&child->out);
    return sent;
}

static void let_go_of_much(struct bide_buffer *buffer)
{
    if (buffer->capacity <= KEEP_BYTES)
        return;
    bide_buffer_release(buffer);
    bide_buffer_reserve(buffer, ANSWER_BYTES);
}

/* The messages of a call, of which the first has come with these times. */
struct received {
    size_t n;
    struct bide_delivery *deliveries;
    struct bide_job *jobs;
    bool failed; /* no memory, or a frame that cannot be read */
};

static void forget(struct received *received)
{
    for (size_t i = 0; i < received->n; i++) {
        bide_run_release(&received->jobs[i].run);
        bide_message_destroy(received->deliveries[i].message);
    }
    bide_free(received->deliveries);
    bide_free(received->jobs);
}

static void take(struct received *received, struct bide_message *message, struct bide_handler *handler)
{
    size_t i = received->n;
    if (!message) {
        received->failed = true;
        return;
    }
    received->deliveries[i] = (struct bide_delivery){.message = message};
    received->jobs[i] = (struct bide_job){.delivery = &received->deliveries[i], .handler = handler};
    if (i > 0)
        bide_job_append(&received->jobs[0].mates, &received->jobs[i]);
    received->n++;
}

/* Reads the rest of the call. False if the worker has gone. */
static bool receive_rest(
    struct child *child, struct received *received, struct bide_handler *handler, int64_t more)
{
    struct bide_frame frame;
    struct bide_frame_times times;
    for (; more > 0; more--) {
        if (!receive_frame(child, &frame))
            return false;
        struct bide_message *message =
            frame.kind == BIDE_FRAME_RUN && !received->failed ? bide_frame_read_run(&frame, &times) : NULL;
        take(received, message, handler);
    }
    return true;
}

static void run_call(struct child *child, struct received *received, const struct bide_frame_times *times)
{
    const bide_plugin_descriptor *plugin = &child->handler->plugin->descriptor;
    struct bide_context *context = &child->context;
    struct bide_job *job = received->jobs;
    if (!child->handler->batches) {
        bide_context_begin(context, job, times->started_us, 0);
        context->deadline_us = times->deadline_us;
        add_answer(child, plugin->handle(child->state, job->delivery->message, context), &job->run);
        return;
    }
    struct bide_call *call = &child->call;
    if (!bide_call_begin(call, context, job, times->started_us, 0)) {
        received->failed = true;
        return;
    }
    for (size_t i = 0; i < call->n; i++)
        call->contexts[i]->deadline_us = times->deadline_us;
    plugin->handle_batch(child->state, call->messages, call->contexts, call->n, call->outcomes);
    for (size_t i = 0; i < call->n; i++)
        add_answer(child, call->outcomes[i], &call->jobs[i]->run);
}

static bool refuse(struct child *child)
{
    char no_memory[] = "out of memory in the sandbox: the handler has not run";
    add_answer(child, BIDE_RETRY, &(struct bide_run){.delay_ms = BIDE_BY_POLICY, .error = no_memory});
    return send_answers(child);
}

static bool run_frame(struct child *child, const struct bide_frame *frame)
{
    struct bide_frame_times times = {0};
    struct bide_handler handler = *child->handler;
    struct bide_message *message = frame->kind == BIDE_FRAME_RUN ? bide_frame_read_run(frame, &times) : NULL;
    if (!message)
        return refuse(child);
    struct received received = {
        .deliveries = bide_calloc((size_t)times.more + 1, sizeof *received.deliveries),
        .jobs = bide_calloc((size_t)times.more + 1, sizeof *received.jobs)};
    received.failed = !received.deliveries || !received.jobs;
    if (received.failed)
        bide_message_destroy(message);
    else
        take(&received, message, &handler);
    bool goes_on = receive_rest(child, &received, &handler, times.more);
    if (goes_on && !received.failed) {
        bide_limits_begin_call(&handler.config->limits, received.n);
        run_call(child, &received, &times);
    }
    bool too_many = goes_on && received.failed && times.more > 0;
    bool answered = goes_on && !too_many && (received.failed ? refuse(child) : send_answers(child));
    forget(&received);
    if (too_many) /* this process ends: so each of them runs again, apart, and may have memory enough */
        bide_log(BIDE_LOG_ERROR, "the messages of a batch are more than the memory of their sandbox holds",
            BIDE_INT("messages", times.more + 1));
    forget_read(child);
    if (child->in.size == 0)
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
    return send_answers(child) && code == BIDE_OK;
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
