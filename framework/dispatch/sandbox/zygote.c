#include "dispatch/sandbox/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "dispatch/sandbox/child.h"

enum { LEAVE_MS = 1000, KEPT_FD = 3 };

struct bide_zygote {
    pthread_mutex_t lock;
    int fd; /* one request, one reply */
    pid_t pid;
    _Atomic bool lost;
};

struct request {
    const struct bide_handler *handler; /* fork a child for it; NULL: bury `pid` */
    pid_t pid;
};

struct reply {
    int problem; /* an errno, or 0 */
    int value;   /* pid or wait status */
};

/* ---- requests, with two descriptors where a child is to get them ---- */

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

/* ---- the zygote itself ---- */

struct children {
    int fd;
    pid_t *pids;
    size_t n;
    size_t capacity;
};

static bool make_room(struct children *children)
{
    if (children->n < children->capacity)
        return true;
    size_t capacity = children->capacity ? children->capacity * 2 : 16;
    pid_t *pids = bide_realloc(children->pids, capacity * sizeof *pids);
    if (!pids)
        return false;
    children->pids = pids;
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
    setpgid(pid, pid); /* both do it: nobody may come too early */
    children->pids[children->n++] = pid;
    return (struct reply){.value = pid};
}

/* The group dies while its dead leader still holds the number: nobody else can have got it. */
static int bury(pid_t pid)
{
    int status = 0;
    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static struct reply bury_one(struct children *children, pid_t pid)
{
    for (size_t i = 0; i < children->n; i++)
        if (children->pids[i] == pid) {
            children->pids[i] = children->pids[--children->n];
            return (struct reply){.value = bury(pid)};
        }
    return (struct reply){.problem = ESRCH};
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

static size_t bury_the_dead(struct children *children)
{
    for (size_t i = children->n; i-- > 0;)
        if (has_ended(children->pids[i]))
            bury_one(children, children->pids[i]);
    return children->n;
}

/* Their sockets are closed: those that are idle close their handlers and go. */
static void end_all(struct children *children)
{
    const struct bide_clock *clock = bide_clock_system();
    int64_t end_ms = bide_mono_ms(clock) + LEAVE_MS, left_ms;
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD); /* blocked, as all others */
    while (bury_the_dead(children) > 0 && (left_ms = end_ms - bide_mono_ms(clock)) > 0) {
        const struct timespec timeout = {left_ms / 1000, left_ms % 1000 * 1000000};
        sigtimedwait(&chld, NULL, &timeout);
    }
    while (children->n > 0)
        bury_one(children, children->pids[0]);
}

static void serve(struct children *children)
{
    struct request request;
    int fds[FDS] = {-1, -1};
    while (receive_request(children->fd, &request, fds)) {
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

/* A Ctrl-C, or a service manager's SIGTERM to every process, is for the worker to obey: it drains first. So
 * signals are blocked, here and in the children, as they are in a worker's threads. */
static void shut_out_signals(void)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP, SIGXCPU};
    sigset_t others;
    sigfillset(&others);
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++) {
        sigdelset(&others, deadly[i]);
        signal(deadly[i], SIG_DFL); /* what the program does about its own faults is not for a handler's */
    }
    sigprocmask(SIG_SETMASK, &others, NULL);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would have no dead to bury */
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
    fflush(NULL); /* a handler that calls exit() would write it once more */
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
    *ret_zygote = zygote;
    return BIDE_OK;
}

void bide_zygote_stop(struct bide_zygote *zygote)
{
    if (!zygote)
        return;
    close(zygote->fd);
    while (waitpid(zygote->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    pthread_mutex_destroy(&zygote->lock);
    bide_free(zygote);
}

static bool ask(struct bide_zygote *zygote, const struct request *request, const int *fds, struct reply *ret)
{
    pthread_mutex_lock(&zygote->lock);
    bool asked = send_request(zygote->fd, request, fds);
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
        return bide_fail(error, BIDE_E_INTERNAL, "the process that forks sandboxes has ended");
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
