/* tests/unit/supervisor_stage.h: a supervisor with real forks, and children that do what a script says. */
#ifndef BIDE_TESTS_SUPERVISOR_STAGE_H
#define BIDE_TESTS_SUPERVISOR_STAGE_H

#include "supervisor/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bide/log.h"
#include "shared/slot.h"
#include "support/deadline.h"
#include "support/supervised.h"
#include "unit/unit.h"

enum { STARTS_MAX = 32, THREADS = 2 };

struct stage;
typedef int act(struct stage *stage, const struct bide_supervised *shared);

/* Shared by the test, its supervisor and the supervisor's children. */
struct stage {
    act *script[STARTS_MAX]; /* of the first child, the second …; after the last one: serve */
    int processes;
    pid_t supervisor;
    bool hostile; /* SIGCHLD is ignored and SIGTERM blocked by who starts it */
    bool nohup;
    bool has_console;
    _Atomic pid_t console;
    _Atomic int console_starts, console_rounds;
    int terminal;        /* the test's end of it; 0: none */
    _Atomic pid_t child; /* the last to be ready */
    _Atomic int starts, ready, stopped, terms, hurries, release;
    _Atomic(int64_t) started_ms[STARTS_MAX];
    struct bide_crash first, second; /* what a serving child is told of the messages m1 and m2 */
    bool first_apart;                /* m1 was in a batch that may be to blame */
};

static struct stage *here; /* for the signal handlers of a child */

static int64_t now_ms(void)
{
    return bide_mono_ms(bide_clock_system());
}

/* ---- what children do ---- */

static void on_signal(int number)
{
    atomic_fetch_add(number == SIGTERM ? &here->terms : &here->hurries, 1);
}

static void catch_signals(struct stage *stage)
{
    here = stage;
    signal(SIGTERM, on_signal);
    signal(SIGUSR2, on_signal);
}

static void ask(const struct bide_supervised *shared, const char *id, struct bide_crash *to)
{
    const struct bide_message message = {.id = id, .queue = "default", .attempt = 1};
    *to = (struct bide_crash){0};
    bide_crashes_ask(shared->crashes, &message, bide_clock_system(), to);
}

static void be_ready(struct stage *stage, const struct bide_supervised *shared)
{
    ask(shared, "m1", &stage->first);
    ask(shared, "m2", &stage->second);
    stage->first_apart = bide_apart_has(&shared->crashes->apart, "m1");
    atomic_store(&shared->process->serving, 1);
    atomic_store(&stage->child, getpid());
    atomic_fetch_add(&stage->ready, 1);
}

/* As worker/intake.c says it, before it drains. */
static int leave(const struct bide_supervised *shared, enum bide_leaving why)
{
    atomic_store(&shared->process->leaving, (int)why);
    kill(shared->supervisor, SIGUSR1);
    return 0;
}

static int serve(struct stage *stage, const struct bide_supervised *shared)
{
    catch_signals(stage);
    be_ready(stage, shared);
    supervised_await_count(&stage->terms, 1);
    atomic_fetch_add(&stage->stopped, 1);
    return leave(shared, BIDE_LEAVES);
}

/* ---- the stage ---- */

static int child_main(void *user, const struct bide_supervised *shared)
{
    struct stage *stage = user;
    int number = atomic_fetch_add(&stage->starts, 1);
    if (number < STARTS_MAX)
        atomic_store(&stage->started_ms[number], now_ms());
    act *action = number < STARTS_MAX && stage->script[number] ? stage->script[number] : serve;
    return action(stage, shared);
}

/* As console/console.h: until SIGUSR2, which is blocked. */
static int console_main(void *user, size_t number, struct bide_shared *shared)
{
    static const struct timespec round = {.tv_nsec = 1000000};
    struct stage *stage = user;
    sigset_t signals;
    (void)number, (void)shared;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR2);
    atomic_store(&stage->console, getpid());
    atomic_fetch_add(&stage->console_starts, 1);
    while (sigtimedwait(&signals, NULL, &round) != SIGUSR2)
        atomic_fetch_add(&stage->console_rounds, 1);
    return 0;
}

/* The terminal of this session is the one whose other end the test has. */
static void take_terminal(int other_end)
{
    char path[64];
    if (ptsname_r(other_end, path, sizeof path) != 0 || open(path, O_RDWR) < 0)
        _exit(96);
    close(other_end);
}

static void be_started_badly(const struct stage *stage)
{
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    if (stage->hostile) {
        signal(SIGCHLD, SIG_IGN);
        sigprocmask(SIG_BLOCK, &term, NULL);
    }
    signal(SIGHUP, stage->nohup ? SIG_IGN : SIG_DFL); /* whatever started the tests ignores */
}

static void supervise(void *user)
{
    struct stage *stage = user;
    const struct bide_attending console = {.name = "console", .run = console_main};
    const struct bide_supervisor_options options = {
        .force = {.processes = stage->processes, .threads = THREADS},
        .run = child_main,
        .user = stage,
        .attend = &console,
        .n_attend = stage->has_console};
    const struct rlimit no_core = {0};
    bide_error error = {0};
    int status = 99;
    setrlimit(RLIMIT_CORE, &no_core);
    bide_log_set_level(BIDE_LOG_OFF);
    setsid();
    if (stage->terminal)
        take_terminal(stage->terminal);
    be_started_badly(stage);
    if (bide_supervise(&options, &status, &error) != BIDE_OK)
        _exit(98);
    _exit(status);
}

static int set_stage(void **state)
{
    struct stage *stage = supervised_map(sizeof *stage);
    if (!stage)
        return -1;
    stage->processes = 1;
    *state = stage;
    return 0;
}

static int clear_stage(void **state)
{
    struct stage *stage = *state;
    atomic_store(&stage->release, 1);
    return supervised_unmap(stage, sizeof *stage, stage->supervisor);
}

static void begin(struct stage *stage)
{
    stage->supervisor = supervised_begin(supervise, stage);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_stage, clear_stage)

#endif
