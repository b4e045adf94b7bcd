#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"

enum { WATCH_OUTPUT, WATCH_END, WATCH_CANCEL, N_WATCHED };
enum { ASK_EVERY_MS = 20 /* where there is no descriptor to wait for */, LONGEST_POLL_MS = 60000 };

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What is there now, at most 64 KiB of it: a program that never stops writing must not keep us here. */
static void read_output(struct child *child)
{
    char bytes[4096];
    for (int round = 0; child->output >= 0 && round < 16; round++) {
        ssize_t n = read(child->output, bytes, sizeof bytes);
        if (n > 0)
            tail_add(&child->tail, bytes, (size_t)n);
        else if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        else {
            close(child->output);
            child->output = -1;
        }
    }
}

/* The status stays to be fetched: until then the process group's number cannot belong to another. */
static bool has_ended(const struct child *child)
{
    siginfo_t info = {0};
    int result = waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return (result == 0 && info.si_pid != 0) || (result < 0 && errno != EINTR);
}

static int timeout_ms(
    const struct child *child, const struct pollfd *watched, int64_t kill_at_ms, int64_t remaining_ms)
{
    int64_t timeout = LONGEST_POLL_MS;
    if (watched[WATCH_END].fd < 0 || (watched[WATCH_CANCEL].fd < 0 && !child->stopped))
        return ASK_EVERY_MS;
    if (!child->stopped && remaining_ms < timeout)
        timeout = remaining_ms + 1;
    else if (kill_at_ms && kill_at_ms - now_ms() < timeout)
        timeout = kill_at_ms > now_ms() ? kill_at_ms - now_ms() : 0;
    return (int)timeout;
}

/* First politely, then not; each time the whole process group. */
static void stop(struct child *child, const struct command *command, int64_t *kill_at_ms)
{
    if (!child->stopped) {
        child->stopped = true;
        kill(-child->pid, SIGTERM);
        *kill_at_ms = now_ms() + command->grace_ms;
    } else if (*kill_at_ms && now_ms() >= *kill_at_ms) {
        kill(-child->pid, SIGKILL);
        *kill_at_ms = 0;
    }
}

void child_wait(struct child *child, const struct command *command, bide_context *context)
{
    struct pollfd watched[N_WATCHED] = {
        [WATCH_END] = {.fd = child->pidfd, .events = POLLIN},
        [WATCH_CANCEL] = {.fd = bide_cancel_fd(context), .events = POLLIN},
    };
    int64_t kill_at_ms = 0; /* 0: not planned */
    while (!has_ended(child)) {
        watched[WATCH_OUTPUT] = (struct pollfd){.fd = child->output, .events = POLLIN};
        if (child->stopped)
            watched[WATCH_CANCEL].fd = -1; /* it stays readable */
        poll(watched, N_WATCHED, timeout_ms(child, watched, kill_at_ms, bide_remaining_ms(context)));
        read_output(child);
        if (bide_cancelled(context))
            stop(child, command, &kill_at_ms);
    }
    read_output(child);
    if (child->stopped)
        kill(-child->pid, SIGKILL); /* those of its children that stayed */
    pid_t pid;
    while ((pid = waitpid(child->pid, &child->status, 0)) < 0 && errno == EINTR)
        ;
    child->lost = pid < 0;
}

void child_clear(struct child *child)
{
    if (child->output >= 0)
        close(child->output);
    if (child->pidfd >= 0)
        close(child->pidfd);
    free(child->tail.bytes);
}
