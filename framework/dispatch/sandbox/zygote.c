#include "dispatch/sandbox/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bide/log.h"
#include "dispatch/sandbox/inside.h"

enum {
    LEAVE_MS = 1000,   /* for idle children to close their handlers and end */
    BURY_MS = 250,     /* for killed children to end: only one that hangs in the kernel takes longer */
    ANSWER_MS = 10000, /* for the zygote to answer a request */
    SPARE_MS = 1000,   /* added because the machine may be busy */
    ASK_AGAIN_MS = 50,
    KEPT_FD = 3,
};

struct bide_zygote {
    pthread_mutex_t lock;
    int fd; /* one request, one reply */
    pid_t pid;
    int pid_fd; /* readable once the zygote has ended; -1: there is none */
    _Atomic bool lost;
};

struct request {
    const struct bide_handler *handler; /* the child's handler; NULL: bury `pid` */
    pid_t pid;
};

struct reply {
    int problem; /* an errno, or 0 */
    int value;   /* pid or wait status */
};

/* ---- requests; one for a child carries two descriptors ---- */

enum { FDS = 2 };

union fd_room {
    char bytes[CMSG_SPACE(FDS * sizeof(int))];
    struct cmsghdr aligned;
};

static bool send_request(int to, const struct request *request, const int fds[FDS])
{
    union fd_room room = {0};
    struct iovec part = {(void *)(uintptr_t)request, sizeof *request};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fds) {
        message.msg_control = room.bytes;
        message.msg_controllen = sizeof room.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(FDS * sizeof(int));
        memcpy(CMSG_DATA(head), fds, FDS * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(to, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *request;
}

static bool receive_request(int from, struct request *ret_request, int ret_fds[FDS])
{
    union fd_room room;
    struct iovec part = {ret_request, sizeof *ret_request};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
    ssize_t got;
    do
        got = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    const struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head && head->cmsg_len == CMSG_LEN(FDS * sizeof(int)))
        memcpy(ret_fds, CMSG_DATA(head), FDS * sizeof(int));
    return got == (ssize_t)sizeof *ret_request;
}

/* ---- the zygote's process ---- */

struct child {
    pid_t pid;
    bool left_behind; /* it did not end when it was killed, and the worker does not ask for it again */
};

struct children {
    int fd;
    struct child *rows;
    size_t n;
    size_t capacity;
};

static bool make_room(struct children *children)
{
    if (children->n < children->capacity)
        return true;
    size_t capacity = children->capacity ? children->capacity * 2 : 16;
    struct child *rows = bide_realloc(children->rows, capacity * sizeof *rows);
    if (!rows)
        return false;
    children->rows = rows;
    children->capacity = capacity;
    return true;
}

static struct reply fork_child(
    struct children *children, const struct bide_handler *handler, const int fds[FDS])
{
    if (!make_room(children))
        return (struct reply){.problem = ENOMEM};
    pid_t zygote = getpid(), pid = fork();
    if (pid == 0) {
        close(children->fd);
        bide_sandbox_child_main(handler, zygote, fds[0], fds[1]);
    }
    int problem = errno;
    if (pid < 0)
        return (struct reply){.problem = problem};
    setpgid(pid, pid); /* both parent and child do it, so that neither is too early */
    children->rows[children->n++] = (struct child){.pid = pid};
    return (struct reply){.value = pid};
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

/* Waits until a child has ended. False if the time is over (end_ms: monotonic). */
static bool wait_for_a_death(int64_t end_ms)
{
    int64_t left_ms = end_ms - bide_mono_ms(bide_clock_system());
    sigset_t chld;
    if (left_ms <= 0)
        return false;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD); /* blocked, as all other signals */
    const struct timespec timeout = {left_ms / 1000, left_ms % 1000 * 1000000};
    sigtimedwait(&chld, NULL, &timeout);
    return true;
}

/* Kills the group while its leader is not reaped yet: nobody else can have the number then. False if the
 * leader does not end by end_ms (it hangs in the kernel, or is traced): then it still holds the number. */
static bool bury(pid_t pid, int64_t end_ms, int *ret_status)
{
    kill(-pid, SIGKILL);
    while (!has_ended(pid))
        if (!wait_for_a_death(end_ms))
            return false;
    waitpid(pid, ret_status, 0);
    return true;
}

static struct reply bury_one(struct children *children, pid_t pid)
{
    int64_t end_ms = bide_mono_ms(bide_clock_system()) + BURY_MS;
    int status = 0;
    for (size_t i = 0; i < children->n; i++)
        if (children->rows[i].pid == pid && !bury(pid, end_ms, &status)) {
            children->rows[i].left_behind = true;
            return (struct reply){.problem = ETIMEDOUT};
        } else if (children->rows[i].pid == pid) {
            children->rows[i] = children->rows[--children->n];
            return (struct reply){.value = status};
        }
    return (struct reply){.problem = ESRCH};
}

/* Buries children that have ended: all of them, or only those left behind earlier. Returns how many are
 * left. */
static size_t bury_the_dead(struct children *children, bool all)
{
    for (size_t i = children->n; i-- > 0;)
        if ((all || children->rows[i].left_behind) && has_ended(children->rows[i].pid))
            bury_one(children, children->rows[i].pid);
    return children->n;
}

/* Ends all children. Their sockets are closed, so idle children close their handlers and end. The others are
 * killed after LEAVE_MS; any that still do not end are left to the kernel. */
static void end_all(struct children *children)
{
    int64_t end_ms = bide_mono_ms(bide_clock_system()) + LEAVE_MS;
    while (bury_the_dead(children, true) > 0 && wait_for_a_death(end_ms))
        ;
    for (size_t i = 0; i < children->n; i++)
        kill(-children->rows[i].pid, SIGKILL);
    while (bury_the_dead(children, true) > 0 && wait_for_a_death(end_ms + BURY_MS))
        ;
}

static void serve(struct children *children)
{
    struct request request;
    int fds[FDS] = {-1, -1};
    while (receive_request(children->fd, &request, fds)) {
        bury_the_dead(children, false);
        struct reply reply =
            request.handler ? fork_child(children, request.handler, fds) : bury_one(children, request.pid);
        for (size_t i = 0; i < FDS; i++) {
            if (fds[i] >= 0)
                close(fds[i]);
            fds[i] = -1;
        }
        if (send(children->fd, &reply, sizeof reply, MSG_NOSIGNAL) < 0)
            break;
    }
}

/* Blocks signals, here and in the children, as in a worker's threads: a Ctrl-C, or a service manager's
 * SIGTERM to every process, is for the worker, which drains first. */
static void shut_out_signals(void)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP, SIGXCPU};
    sigset_t others;
    sigfillset(&others);
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++) {
        sigdelset(&others, deadly[i]);
        signal(deadly[i], SIG_DFL); /* a handler's crash must not run the worker's own signal handlers */
    }
    sigprocmask(SIG_SETMASK, &others, NULL);
    signal(SIGCHLD, SIG_DFL); /* if it were ignored, children could not be reaped */
}

static void keep_only(int fd)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    if (fd != KEPT_FD)
        dup3(fd, KEPT_FD, O_CLOEXEC);
    close_range(KEPT_FD + 1, ~0U, 0);
}

static _Noreturn void zygote_main(int fd)
{
    shut_out_signals();
    setpgid(0, 0);
    prctl(PR_SET_NAME, "bide-zygote");
    keep_only(fd);
    struct children children = {.fd = KEPT_FD};
    serve(&children);
    end_all(&children);
    _exit(0);
}

/* ---- the worker's side ---- */

bide_code bide_zygote_start(struct bide_zygote **ret_zygote, bide_error *error)
{
    int fds[2];
    struct bide_zygote *zygote = bide_calloc(1, sizeof *zygote);
    if (!zygote)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
        bide_free(zygote);
        return bide_fail(error, BIDE_E_INTERNAL, "cannot create a socket pair: %s", strerror(errno));
    }
    fflush(NULL); /* otherwise a handler that calls exit() would write the buffers a second time */
    zygote->pid = fork();
    if (zygote->pid == 0)
        zygote_main(fds[1]);
    int problem = errno;
    close(fds[1]);
    if (zygote->pid < 0) {
        close(fds[0]);
        bide_free(zygote);
        return bide_fail(
            error, BIDE_E_INTERNAL, "cannot fork a process for sandboxes: %s", strerror(problem));
    }
    pthread_mutex_init(&zygote->lock, NULL);
    zygote->fd = fds[0];
    zygote->pid_fd = pidfd_open(zygote->pid, 0);
    setsockopt(zygote->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = ANSWER_MS / 1000},
        sizeof(struct timeval));
    *ret_zygote = zygote;
    return BIDE_OK;
}

/* False if it has not ended in time. */
static bool reap(struct bide_zygote *zygote, int timeout_ms)
{
    const struct bide_clock *clock = bide_clock_system();
    int64_t end_ms = bide_mono_ms(clock) + timeout_ms;
    struct pollfd fd = {.fd = zygote->pid_fd, .events = POLLIN};
    for (;;) {
        pid_t reaped = waitpid(zygote->pid, NULL, WNOHANG);
        int64_t left_ms = end_ms - bide_mono_ms(clock);
        if (reaped == zygote->pid || (reaped < 0 && errno == ECHILD))
            return true;
        if (left_ms <= 0)
            return false;
        poll(&fd, 1, (int)(fd.fd < 0 || left_ms > ASK_AGAIN_MS ? ASK_AGAIN_MS : left_ms));
    }
}

void bide_zygote_stop(struct bide_zygote *zygote)
{
    if (!zygote)
        return;
    close(zygote->fd);
    if (!reap(zygote, LEAVE_MS + BURY_MS + SPARE_MS)) {
        kill(zygote->pid, SIGKILL); /* its children die with it */
        if (!reap(zygote, BURY_MS))
            bide_log(BIDE_LOG_ERROR,
                "the process that forks sandboxes does not end although it was killed: it is left behind",
                BIDE_INT("pid", zygote->pid));
    }
    if (zygote->pid_fd >= 0)
        close(zygote->pid_fd);
    pthread_mutex_destroy(&zygote->lock);
    bide_free(zygote);
}

static bool ask(struct bide_zygote *zygote, const struct request *request, const int *fds, struct reply *ret)
{
    pthread_mutex_lock(&zygote->lock);
    bool asked = !atomic_load(&zygote->lost) && send_request(zygote->fd, request, fds);
    ssize_t got = -1;
    while (asked && (got = recv(zygote->fd, ret, sizeof *ret, 0)) < 0 && errno == EINTR)
        ;
    if (got != (ssize_t)sizeof *ret)
        atomic_store(&zygote->lost, true);
    pthread_mutex_unlock(&zygote->lock);
    return got == (ssize_t)sizeof *ret;
}

bide_code bide_zygote_spawn(struct bide_zygote *zygote, const struct bide_handler *handler, int fd,
    int cancel, pid_t *ret_pid, bide_error *error)
{
    const int fds[FDS] = {fd, cancel};
    struct reply reply;
    if (!ask(zygote, &(struct request){.handler = handler}, fds, &reply))
        return bide_fail(
            error, BIDE_E_INTERNAL, "the process that forks sandboxes has ended, or does not answer");
    if (reply.problem)
        return bide_fail(error, BIDE_E_INTERNAL, "cannot fork a sandbox: %s", strerror(reply.problem));
    *ret_pid = reply.value;
    return BIDE_OK;
}

bool bide_zygote_bury(struct bide_zygote *zygote, pid_t pid, int *ret_status)
{
    struct reply reply;
    if (!ask(zygote, &(struct request){.pid = pid}, NULL, &reply) || reply.problem)
        return false;
    *ret_status = reply.value;
    return true;
}

bool bide_zygote_is_lost(const struct bide_zygote *zygote)
{
    return atomic_load(&zygote->lost);
}
