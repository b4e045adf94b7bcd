#include "dispatch/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_MS = 250 }; /* CPU time between SIGXCPU and SIGKILL */

static bide_code limit(int resource, int64_t value, const char *name, bide_error *error)
{
    const struct rlimit both = {(rlim_t)value, (rlim_t)value};
    if (value == 0 || setrlimit(resource, &both) == 0)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_CONFIG, "limits.%s cannot be set: %s", name, strerror(errno));
}

/* If the machine runs out of memory, the kernel kills a child before its worker, and a larger process before
 * either. */
static void go_first(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t written = write(fd, "300", 3); /* if it is refused, the kernel chooses as usual */
    (void)written;
    close(fd);
}

bide_code bide_limits_apply(const struct bide_limits_config *limits, bide_error *error)
{
    go_first();
    if (limits->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return bide_fail(error, BIDE_E_CONFIG, "limits.no_new_privs cannot be set: %s", strerror(errno));
    bide_code code = limit(RLIMIT_NOFILE, limits->files, "files", error);
    return code == BIDE_OK ? limit(RLIMIT_AS, limits->memory, "memory", error) : code;
}

static int64_t used_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* Kills this process at so much CPU time. SIGXCPU alone is not enough: a handler may ignore it, and the hard
 * limit could not be raised again for the next message. One timer for the life of the process. */
static void kill_at(int64_t cpu_ms)
{
    static timer_t timer;
    static bool made;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    const struct itimerspec at = {.it_value = {.tv_sec = cpu_ms / 1000, .tv_nsec = cpu_ms % 1000 * 1000000}};
    made = made || timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0;
    if (made)
        timer_settime(timer, TIMER_ABSTIME, &at, NULL);
}

void bide_limits_begin_call(const struct bide_limits_config *limits, size_t n)
{
    struct rlimit both;
    if (limits->cpu_ms == 0 || getrlimit(RLIMIT_CPU, &both) != 0)
        return;
    rlim_t seconds = (rlim_t)((used_ms() + limits->cpu_ms * (int64_t)n + 999) / 1000);
    both.rlim_cur = seconds < both.rlim_max ? seconds : both.rlim_max;
    setrlimit(RLIMIT_CPU, &both);
    kill_at((int64_t)both.rlim_cur * 1000 + GRACE_MS);
}
