/* Uses vfork, not posix_spawn: the program must die with its worker, and for that the child must call prctl
 * (PR_SET_PDEATHSIG) between fork and exec. Until execve the child calls only async-signal-safe functions,
 * with every signal blocked. */
#include "dispatch/program/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dispatch/limits.h"

enum { CHANNEL = 3, ENVIRONMENT_MAX = 200, FIRST_OWN = 10 };

extern char **environ;

/* All that the child needs, prepared before vfork. */
struct plan {
    const struct bide_program_config *program;
    const char *dir;
    char *environment[ENVIRONMENT_MAX + 1];
    int input, out, err, channel;
    int report; /* exec closes it; if exec fails, the child writes here why */
    pid_t worker;
};

/* ---- the child ---- */

static void default_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool place_descriptors(const struct plan *plan)
{
    return dup2(plan->input, STDIN_FILENO) >= 0 && dup2(plan->out, STDOUT_FILENO) >= 0 &&
           dup2(plan->err, STDERR_FILENO) >= 0 && dup2(plan->channel, CHANNEL) >= 0;
}

/* Runs in the worker's memory: must not allocate, lock or return. */
static _Noreturn void become(const struct plan *plan)
{
    bide_error why = {0};
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan->worker) /* the worker died before the prctl */
        _exit(127);
    if (bide_limits_apply(&plan->program->limits, &why) == BIDE_OK && place_descriptors(plan) &&
        chdir(plan->dir) == 0 && (!plan->program->dir || chdir(plan->program->dir) == 0)) {
        close_range(CHANNEL + 1, ~0U, CLOSE_RANGE_CLOEXEC);
        default_signals();
        execvpe(plan->program->run[0], plan->program->run, plan->environment);
    }
    int problem = errno ? errno : EINVAL;
    ssize_t written = write(plan->report, &problem, sizeof problem);
    (void)written; /* if it fails, the exit status 127 tells the worker */
    _exit(127);
}

/* ---- before vfork ---- */

static bool is_passed_on(const char *entry)
{
    static const char *const names[] = {"PATH=", "HOME=", "LANG=", "LC_", "TZ="};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* The strings are not copied: they belong to the worker's environment and the configuration. */
static void make_environment(struct plan *plan)
{
    static char channel[] = "BIDE_FD=3";
    size_t n = 0;
    plan->environment[n++] = channel;
    for (char *const *own = plan->program->env; own && *own && n < ENVIRONMENT_MAX; own++)
        plan->environment[n++] = *own;
    for (char *const *entry = environ; *entry && n < ENVIRONMENT_MAX; entry++)
        if (is_passed_on(*entry))
            plan->environment[n++] = *entry;
}

/* Moves a descriptor above the numbers that the child uses, so that dup2 does not overwrite a source. */
static int raise_fd(int fd)
{
    int raised = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OWN);
    if (fd >= 0)
        close(fd);
    return raised;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static bool make_pipe(int *ret_read, int *ret_write)
{
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *ret_read = raise_fd(ends[0]);
    *ret_write = raise_fd(ends[1]);
    return *ret_read >= 0 && *ret_write >= 0;
}

static bool make_descriptors(struct plan *plan, struct bide_spawned *ours)
{
    int ends[2] = {-1, -1};
    plan->input = raise_fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (plan->input < 0 || !make_pipe(&ours->out, &plan->out) || !make_pipe(&ours->err, &plan->err) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    ours->channel = raise_fd(ends[0]);
    plan->channel = raise_fd(ends[1]);
    const int fds[] = {ours->out, ours->err, ours->channel};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] < 0 || fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK) != 0)
            return false;
    return plan->channel >= 0;
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

/* Waits (microseconds) until the program runs or the child has written why it cannot. */
static bide_code start(struct plan *plan, struct bide_spawned *ours, bide_error *error)
{
    int reported = -1, problem = 0;
    if (!make_pipe(&reported, &plan->report)) {
        problem = errno;
        close_fd(reported);
        close_fd(plan->report);
        return bide_fail(error, BIDE_E_INTERNAL, "cannot make a pipe: %s", strerror(problem));
    }
    ours->pid = launch(plan);
    if (ours->pid < 0)
        problem = errno;
    close(plan->report);
    while (ours->pid > 0 && read(reported, &problem, sizeof problem) < 0 && errno == EINTR)
        continue;
    close(reported);
    if (ours->pid < 0)
        return bide_fail(error, BIDE_E_INTERNAL, "cannot start a process: %s", strerror(problem));
    if (problem) {
        while (waitpid(ours->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        return bide_fail(error, BIDE_E_CONFIG, "program '%s': cannot run %s in %s, with its limits: %s",
            plan->program->name, plan->program->run[0], plan->program->dir ? plan->program->dir : plan->dir,
            strerror(problem));
    }
    ours->pid_fd = pidfd_open(ours->pid, 0); /* nobody else can have its number: it was not reaped yet */
    if (ours->pid_fd >= 0)
        return BIDE_OK;
    bide_fail(error, BIDE_E_INTERNAL, "cannot watch a process: %s", strerror(errno));
    kill(ours->pid, SIGKILL);
    while (waitpid(ours->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return error->code;
}

bide_code bide_program_spawn(const struct bide_program_config *program, const char *dir,
    struct bide_spawned *ret_spawned, bide_error *error)
{
    struct plan plan = {.program = program,
        .dir = dir,
        .input = -1,
        .out = -1,
        .err = -1,
        .channel = -1,
        .report = -1,
        .worker = getpid()};
    struct bide_spawned ours = {.pid = -1, .pid_fd = -1, .channel = -1, .out = -1, .err = -1};
    make_environment(&plan);
    bide_code code = make_descriptors(&plan, &ours)
                         ? start(&plan, &ours, error)
                         : bide_fail(error, BIDE_E_INTERNAL, "cannot make descriptors: %s", strerror(errno));
    const int theirs[] = {plan.input, plan.out, plan.err, plan.channel};
    for (size_t i = 0; i < sizeof theirs / sizeof theirs[0]; i++)
        close_fd(theirs[i]);
    if (code == BIDE_OK) {
        *ret_spawned = ours;
        return BIDE_OK;
    }
    close_fd(ours.channel);
    close_fd(ours.out);
    close_fd(ours.err);
    return code;
}
