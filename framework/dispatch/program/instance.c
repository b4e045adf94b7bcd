#include "dispatch/program/instance.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "dispatch/program/host.h"
#include "dispatch/program/protocol.h"

enum { READ_BYTES = 64 * 1024, LINE_MAX_BYTES = 4096, IDS_TEXT = 200, KEEP_BYTES = 256 * 1024 };

bide_code bide_instance_start(
    struct bide_program *program, int64_t now_us, struct bide_instance **ret_process, bide_error *error)
{
    struct bide_spawned child;
    struct bide_instance *process = bide_calloc(1, sizeof *process);
    if (!process)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = bide_program_spawn(program->config, program->host->dir, &child, error);
    if (code != BIDE_OK) {
        bide_free(process);
        return code;
    }
    *process = (struct bide_instance){.program = program,
        .pid = child.pid,
        .fds = {child.channel, child.out, child.err, child.pid_fd},
        .ends_us = now_us + program->config->start_timeout_ms * 1000};
    struct bide_buffer *const buffers[] = {
        &process->in, &process->to, &process->texts[0], &process->texts[1], &process->tail};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        bide_buffer_init(buffers[i]);
    bide_program_say_greeting(
        &process->to, program->config->name, program->config->concurrency, program->host->max_line);
    *ret_process = process;
    return BIDE_OK;
}

void bide_instance_destroy(struct bide_instance *process)
{
    for (size_t i = 0; i < BIDE_INSTANCE_FDS; i++)
        if (process->fds[i] >= 0)
            close(process->fds[i]);
    bide_buffer_release(&process->in);
    bide_buffer_release(&process->to);
    bide_buffer_release(&process->texts[0]);
    bide_buffer_release(&process->texts[1]);
    bide_buffer_release(&process->tail);
    bide_free(process);
}

static void close_fd(struct bide_instance *process, size_t which)
{
    close(process->fds[which]);
    process->fds[which] = -1;
}

/* ---- the channel ---- */

/* Drops written bytes in front, so that the buffer does not grow for ever while the process is always a
 * little behind. */
static void forget_sent(struct bide_instance *process)
{
    struct bide_buffer *to = &process->to;
    if (process->sent < KEEP_BYTES || process->sent < to->size / 2)
        return;
    memmove(to->bytes, to->bytes + process->sent, to->size - process->sent);
    to->size -= process->sent;
    to->bytes[to->size] = '\0';
    process->sent = 0;
}

void bide_instance_write(struct bide_instance *process)
{
    struct bide_buffer *to = &process->to;
    while (process->sent < to->size && process->fds[BIDE_INSTANCE_CHANNEL] >= 0) {
        ssize_t sent = send(process->fds[BIDE_INSTANCE_CHANNEL], to->bytes + process->sent,
            to->size - process->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) { /* nobody reads it: otherwise poll would return at once for ever */
            process->deaf = true;
            sent = (ssize_t)(to->size - process->sent);
        }
        process->sent += (size_t)sent;
    }
    if (process->sent < to->size) {
        forget_sent(process);
        return;
    }
    if (to->capacity > KEEP_BYTES)
        bide_buffer_release(to);
    bide_buffer_clear(to);
    process->sent = 0;
}

/* False if there is no more for now. */
static bool read_some(struct bide_instance *process, size_t which, struct bide_buffer *to)
{
    char *room = bide_buffer_reserve(to, READ_BYTES);
    if (!room)
        bide_instance_kill(process, NULL); /* without memory its lines cannot be read; no run is to blame */
    ssize_t got = room ? read(process->fds[which], room, READ_BYTES) : 0;
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return errno == EINTR;
    if (got <= 0) {
        close_fd(process, which); /* the process has closed it, or we give it up */
        return false;
    }
    to->size += (size_t)got;
    to->bytes[to->size] = '\0';
    return true;
}

const char *bide_instance_next_line(struct bide_instance *process, size_t *ret_size)
{
    const struct bide_buffer *in = &process->in;
    const char *line = in->bytes + process->taken;
    const char *end = memchr(line, '\n', in->size - process->taken);
    if (!end)
        return NULL;
    *ret_size = (size_t)(end - line);
    process->taken += *ret_size + 1;
    return line;
}

/* Called after the lines have been carried out. */
static void forget_taken(struct bide_instance *process)
{
    struct bide_buffer *in = &process->in;
    if (process->taken == 0)
        return;
    memmove(in->bytes, in->bytes + process->taken, in->size - process->taken);
    in->size -= process->taken;
    in->bytes[in->size] = '\0';
    process->taken = 0;
}

/* ---- what the program prints ---- */

/* Lists the ids of its runs: "a, b, c …". */
static void list_ids(const struct bide_instance *process, char to[IDS_TEXT])
{
    size_t used = 0;
    to[0] = '\0';
    for (const struct bide_program_run *run = process->runs; run && used < IDS_TEXT - 1; run = run->next)
        used += (size_t)snprintf(
            to + used, IDS_TEXT - used, "%s%s", used ? ", " : "", run->job->delivery->message->id);
}

static void log_line(const struct bide_instance *process, size_t which, char *line)
{
    char ids[IDS_TEXT];
    list_ids(process, ids);
    bide_log(which == BIDE_INSTANCE_ERR ? BIDE_LOG_WARN : BIDE_LOG_INFO, "program printed",
        BIDE_STR("text", line), BIDE_STR("program", process->program->config->name),
        BIDE_INT("pid", process->pid), BIDE_STR("ids", ids));
}

static void log_lines(struct bide_instance *process, size_t which, bool all)
{
    struct bide_buffer *text = &process->texts[which - BIDE_INSTANCE_OUT];
    size_t done = 0;
    for (char *end; done < text->size; done = (size_t)(end - text->bytes) + 1) {
        char *line = text->bytes + done;
        end = memchr(line, '\n', text->size - done);
        if (!end && !all && text->size - done < LINE_MAX_BYTES)
            break;
        if (!end)
            end = text->bytes + text->size;
        *end = '\0';
        log_line(process, which, line);
    }
    done = done < text->size ? done : text->size;
    if (done > 0) {
        memmove(text->bytes, text->bytes + done, text->size - done);
        text->size -= done;
    }
}

static void keep_tail(struct bide_instance *process, const char *bytes, size_t size)
{
    struct bide_buffer *tail = &process->tail;
    bide_buffer_add(tail, bytes, size);
    if (tail->size <= 2 * BIDE_ERROR_KEPT)
        return;
    memmove(tail->bytes, tail->bytes + tail->size - BIDE_ERROR_KEPT, BIDE_ERROR_KEPT);
    tail->size = BIDE_ERROR_KEPT;
    tail->bytes[tail->size] = '\0';
}

static bool read_printed(struct bide_instance *process, size_t which)
{
    struct bide_buffer *text = &process->texts[which - BIDE_INSTANCE_OUT];
    size_t before = text->size;
    bool more = read_some(process, which, text);
    if (which == BIDE_INSTANCE_ERR && text->size > before)
        keep_tail(process, text->bytes + before, text->size - before);
    log_lines(process, which, !more && process->fds[which] < 0);
    return more;
}

bool bide_instance_read(struct bide_instance *process, const short ready[BIDE_INSTANCE_FDS])
{
    bool more = false;
    if (ready[BIDE_INSTANCE_CHANNEL] & (POLLIN | POLLHUP | POLLERR)) {
        forget_taken(process);
        more |= read_some(process, BIDE_INSTANCE_CHANNEL, &process->in);
    }
    for (size_t which = BIDE_INSTANCE_OUT; which <= BIDE_INSTANCE_ERR; which++)
        if (ready[which])
            more |= read_printed(process, which);
    return more;
}

size_t bide_instance_rounds_left(const struct bide_instance *process)
{
    int most = 0;
    for (size_t which = 0; which < BIDE_INSTANCE_END; which++) {
        int left = 0;
        if (process->fds[which] >= 0 && ioctl(process->fds[which], FIONREAD, &left) == 0 && left > most)
            most = left;
    }
    return (size_t)most / READ_BYTES + 2; /* the reads already begun, and the end */
}

/* ---- its end ---- */

void bide_instance_kill(struct bide_instance *process, const char *why)
{
    if (!process->killed && why)
        snprintf(process->why, sizeof process->why, "%s", why);
    process->killed = true;
    kill(-process->pid, SIGKILL);
    kill(process->pid, SIGKILL); /* it may not lead its group yet */
}

bool bide_instance_reap(const struct bide_instance *process, int *ret_status)
{
    pid_t pid;
    while ((pid = waitpid(process->pid, ret_status, WNOHANG)) < 0 && errno == EINTR)
        continue;
    if (pid < 0)
        *ret_status = 0; /* somebody else has waited for it */
    return pid != 0;
}

/* ---- its runs ---- */

struct bide_program_run *bide_instance_find(const struct bide_instance *process, uint64_t number)
{
    struct bide_program_run *run = process->runs;
    while (run && run->number != number)
        run = run->next;
    return run;
}

void bide_instance_remove(struct bide_instance *process, struct bide_program_run *run)
{
    struct bide_program_run **at = &process->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    process->n_runs--;
    if (process->n_runs == 0)
        process->exclusive = false;
}
