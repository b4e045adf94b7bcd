#include "supervisor/supervising.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/ending.h"
#include "bide/log.h"

enum {
    PAUSE_MS = 1000,
    END_MS = 1000,
    END_STEP_MS = 5,
    RENEW_MS = 10 * 1000, /* for a question to the broker that may be under way */
};

/* Called before any signal can be delivered. */
static void arrange_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGTSTP};
    sigset_t mask;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

static _Noreturn void become_child(
    const struct bide_attendant *attendant, struct bide_shared *shared, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* the supervisor died before the line above */
        _exit(EXIT_FAILURE);
    arrange_signals();
    exit(attendant->is.run(attendant->user, attendant->is.number, shared));
}

/* Forks with SIGUSR2 blocked: the supervisor may tell the child to end before the child waits for that
 * signal. */
static pid_t fork_deaf(void)
{
    sigset_t renewal, before;
    sigemptyset(&renewal);
    sigaddset(&renewal, SIGUSR2);
    sigprocmask(SIG_BLOCK, &renewal, &before);
    pid_t pid = fork();
    if (pid != 0)
        sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

/* Kills one that was told to make way and does not: it would serve the former configuration, or
 * nothing, for ever. */
static int64_t end_renewal(struct bide_attendant *attendant, int64_t now_ms)
{
    if (attendant->renew_ends_ms == 0)
        return -1;
    if (now_ms < attendant->renew_ends_ms)
        return attendant->renew_ends_ms - now_ms;
    kill(attendant->pid, SIGKILL);
    attendant->renew_ends_ms = 0;
    return -1;
}

int64_t bide_attendant_tend(
    struct bide_attendant *attendant, struct bide_shared *shared, const struct bide_clock *clock)
{
    int64_t left_ms = attendant->start_again_ms - bide_mono_ms(clock);
    if (attendant->pid > 0)
        return end_renewal(attendant, bide_mono_ms(clock));
    if (!attendant->is.run ||
        (attendant->is.is_wanted && !attendant->is.is_wanted(attendant->user, attendant->is.number)))
        return -1;
    if (left_ms > 0)
        return left_ms;
    pid_t parent = getpid(), pid = fork_deaf();
    if (pid == 0)
        become_child(attendant, shared, parent);
    if (pid > 0) {
        attendant->pid = pid;
        return -1;
    }
    bide_log(BIDE_LOG_ERROR, "cannot start the console, the clock or a relay",
        BIDE_STR("which", attendant->is.name), BIDE_STR("error", strerror(errno)));
    attendant->start_again_ms = bide_mono_ms(clock) + PAUSE_MS;
    return PAUSE_MS;
}

bool bide_attendant_bury(
    struct bide_attendant *attendant, pid_t pid, int status, const struct bide_clock *clock)
{
    char what[BIDE_ENDING_TEXT];
    if (pid != attendant->pid)
        return false;
    attendant->pid = 0;
    attendant->renew_ends_ms = 0;
    attendant->start_again_ms = bide_mono_ms(clock);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    attendant->start_again_ms += PAUSE_MS;
    bide_log(BIDE_LOG_ERROR, "console, clock or relay died", BIDE_STR("which", attendant->is.name),
        BIDE_INT("pid", pid), BIDE_STR("how", bide_ending(status, what)));
    return true;
}

void bide_attendant_renew(struct bide_attendant *attendant, const struct bide_clock *clock)
{
    if (attendant->pid <= 0)
        return;
    kill(attendant->pid, SIGUSR2);
    attendant->renew_ends_ms = bide_mono_ms(clock) + RENEW_MS;
}

static bool ends_in_time(pid_t pid)
{
    const struct timespec step = {.tv_nsec = END_STEP_MS * 1000000};
    for (int waited_ms = 0; waited_ms < END_MS; waited_ms += END_STEP_MS) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return true;
        nanosleep(&step, NULL);
    }
    return false;
}

void bide_attendant_end(struct bide_attendant *attendant)
{
    static const int signals[] = {SIGUSR2, SIGKILL};
    for (size_t i = 0; attendant->pid > 0 && i < sizeof signals / sizeof signals[0]; i++) {
        kill(attendant->pid, signals[i]);
        if (ends_in_time(attendant->pid))
            attendant->pid = 0;
    }
}
