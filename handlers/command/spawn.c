/* Why vfork and not posix_spawn: the program must die with its worker, and that (PR_SET_PDEATHSIG) has to be
 * said by the child between fork and exec. vfork shares the worker's memory instead of copying its page
 * tables; the child calls only what is async-signal-safe, with every signal blocked, until execve. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"

struct plan {
    const struct command *command;
    char *const *environment;
    int input, output;
    int report; /* closed by exec; before that the child writes here the errno that stopped it */
    pid_t worker;
};

static void default_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A sandbox's limit on CPU time is a soft one, for its next messages; a program has only one. */
static void harden_cpu_limit(void)
{
    struct rlimit both;
    if (getrlimit(RLIMIT_CPU, &both) != 0 || both.rlim_cur == RLIM_INFINITY)
        return;
    both.rlim_max = both.rlim_cur < both.rlim_max ? both.rlim_cur + 1 : both.rlim_max;
    setrlimit(RLIMIT_CPU, &both);
}

/* The child, in the worker's memory: nothing here may allocate, lock or return. */
static _Noreturn void become(const struct plan *plan)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan->worker) /* it died before the line above */
        _exit(127);
    if (dup2(plan->input, 0) >= 0 && dup2(plan->output, 1) >= 0 && dup2(plan->output, 2) >= 0 &&
        chdir(plan->command->directory) == 0) {
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* what a library opened without O_CLOEXEC */
        default_signals();
        harden_cpu_limit();
        execve(plan->command->program, plan->command->argv, plan->environment);
    }
    int problem = errno;
    ssize_t written = write(plan->report, &problem, sizeof problem);
    (void)written; /* who reads it sees an exit code of 127 otherwise */
    _exit(127);
}

static pid_t launch(const struct plan *plan)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork();
    if (pid == 0)
        become(plan);
    int problem = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = problem;
    return pid;
}

/* 0, 1 and 2 are the child's: a worker started with one of them closed must not get it here. */
static int above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int problem = errno;
    close(fd);
    errno = problem;
    return moved;
}

/* The body as a file in memory: the program reads it when it likes, or not at all, and nobody waits. */
static int body_file(const bide_message *message)
{
    size_t size;
    const char *body = bide_message_body(message, &size);
    int fd = above_standard(memfd_create("bide-body", MFD_CLOEXEC));
    for (size_t done = 0; fd >= 0 && done < size;) {
        ssize_t written = pwrite(fd, body + done, size - done, (off_t)done);
        if (written <= 0 && errno != EINTR) {
            close(fd);
            return -1;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    return fd;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

static bool make_pipe(int *ret_read, int *ret_write)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    ends[0] = above_standard(ends[0]);
    ends[1] = above_standard(ends[1]);
    if (ends[0] < 0 || ends[1] < 0) {
        close_if_open(ends[0]);
        close_if_open(ends[1]);
        return false;
    }
    *ret_read = ends[0];
    *ret_write = ends[1];
    return true;
}

/* Starts it, and waits (microseconds) until it runs or has said why not: then only its status is to be
 * fetched. */
static bide_code start_with(struct child *child, struct plan *plan, bide_error *error)
{
    int reported, problem = 0;
    if (!make_pipe(&reported, &plan->report))
        return bide_fail(error, BIDE_E_INTERNAL, "cannot make a pipe: %s", strerror(errno));
    child->pid = launch(plan);
    if (child->pid < 0)
        problem = errno;
    close(plan->report);
    while (child->pid > 0 && read(reported, &problem, sizeof problem) < 0 && errno == EINTR)
        ;
    close(reported);
    if (child->pid < 0)
        return bide_fail(error, BIDE_E_INTERNAL, "cannot start a process: %s", strerror(problem));
    if (problem) {
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return bide_fail(error, BIDE_E_CONFIG, "cannot run %s in %s: %s", plan->command->program,
            plan->command->directory, strerror(problem));
    }
    child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    return BIDE_OK;
}

bide_code child_start(struct child *child, const struct command *command, char *const *environment,
    const bide_message *message, bide_error *error)
{
    struct plan plan = {.command = command, .environment = environment, .worker = getpid()};
    *child = (struct child){.pid = -1, .pidfd = -1, .output = -1};
    if (!tail_init(&child->tail, command->keep_output))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (!make_pipe(&child->output, &plan.output))
        return bide_fail(error, BIDE_E_INTERNAL, "cannot make a pipe: %s", strerror(errno));
    fcntl(child->output, F_SETFL, O_NONBLOCK); /* the read end alone */
    plan.input = body_file(message);
    bide_code code = plan.input >= 0 ? start_with(child, &plan, error)
                                     : bide_fail(error, BIDE_E_INTERNAL,
                                           "cannot keep the body for the program: %s", strerror(errno));
    close(plan.output);
    close_if_open(plan.input);
    return code;
}
