#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bide/log.h"
#include "dispatch/slot.h"
#include "supervisor/oom.h"
#include "supervisor/supervising.h"

enum { LEAST_FORCE = 8 }; /* processes there are places for in any case: a reload may ask for more */

static size_t whole_lines(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

static bide_code share_memory(struct supervisor *supervisor, bide_error *error)
{
    size_t processes = (size_t)supervisor->force.processes;
    size_t a_place = whole_lines(sizeof(struct flags) + BIDE_THREADS_MAX * sizeof(struct bide_slot));
    size_t crashes_size = whole_lines(sizeof(struct bide_crashes));
    size_t tables_size = crashes_size + whole_lines(sizeof(struct bide_circuits));
    supervisor->n_places = BIDE_PLACES_EACH * (processes > LEAST_FORCE ? processes : LEAST_FORCE);
    supervisor->memory_size = tables_size + supervisor->n_places * a_place;
    char *memory = mmap(NULL, supervisor->memory_size, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); /* only what is used takes up memory */
    if (memory == MAP_FAILED)
        return bide_fail(error, BIDE_E_NOMEM, "cannot share %zu bytes of memory: %s", supervisor->memory_size,
            strerror(errno));
    supervisor->memory = memory;
    supervisor->crashes = (struct bide_crashes *)(void *)memory;
    bide_crashes_init(supervisor->crashes);
    supervisor->circuits = (struct bide_circuits *)(void *)(memory + crashes_size);
    bide_circuits_init(supervisor->circuits);
    for (size_t i = 0; i < supervisor->n_places; i++) {
        struct flags *flags = (struct flags *)(void *)(memory + tables_size + i * a_place);
        supervisor->places[i].serving = &flags->serving;
        supervisor->places[i].unhurried = &flags->unhurried;
        supervisor->places[i].failure = flags->failure;
        supervisor->places[i].beat_ms = &flags->beat_ms;
        supervisor->places[i].wants_successor = &flags->wants_successor;
        supervisor->places[i].returned = &flags->returned;
        supervisor->places[i].slots = flags->slots;
    }
    bide_code code =
        bide_shared_map(supervisor->n_places, bide_wall_ms(supervisor->clock), &supervisor->shared, error);
    for (size_t i = 0; code == BIDE_OK && i < supervisor->n_places; i++)
        supervisor->places[i].metrics = &supervisor->shared->places[i];
    return code;
}

/* ---- starting ---- */

static void do_nothing(int number)
{
    (void)number;
}

/* A terminal sends these to every process of its group; what they mean is the supervisor's business. Not
 * SIG_IGN, which programs that a handler starts would inherit. */
static void ignore_terminal(void)
{
    struct sigaction action = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGTSTP, &action, NULL);
}

static _Noreturn void become_child(struct supervisor *supervisor, const struct place *place, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before the line above */
        _exit(EXIT_FAILURE);
    ignore_terminal();
    sigprocmask(SIG_SETMASK, &supervisor->before, NULL);
    /* What this process forks itself (sandboxes, commands) has no business in here. */
    madvise(supervisor->memory, supervisor->memory_size, MADV_DONTFORK);
    madvise(supervisor->shared, bide_shared_size(supervisor->n_places), MADV_DONTFORK);
    const struct bide_supervised shared = {
        .supervisor = parent,
        .crashes = supervisor->crashes,
        .circuits = supervisor->circuits,
        .slots = place->slots,
        .shared = supervisor->shared,
        .metrics = place->metrics,
        .serving = place->serving,
        .unhurried = place->unhurried,
        .candidate = place == supervisor->candidate,
        .failure = place->failure,
        .beat_ms = place->beat_ms,
        .returned = place->returned,
        .wants_successor = place->wants_successor,
    };
    int status = supervisor->options->run(supervisor->options->user, &shared);
    atomic_store(place->returned, 1);
    exit(status);
}

struct place *bide_supervisor_free_place(struct supervisor *supervisor)
{
    struct place *place = NULL;
    int taken = 0;
    for (size_t i = 0; i < supervisor->n_places; i++)
        if (supervisor->places[i].pid != 0)
            taken++;
        else if (!place)
            place = &supervisor->places[i];
    return taken < BIDE_PLACES_EACH * supervisor->force.processes ? place : NULL;
}

bool bide_supervisor_start(struct supervisor *supervisor, struct place *place, int threads)
{
    atomic_store(place->serving, 0);
    atomic_store(place->unhurried, 0);
    atomic_store(place->wants_successor, 0);
    atomic_store(place->returned, 0);
    memset(place->slots, 0, (size_t)threads * sizeof *place->slots);
    bide_metrics_begin(place->metrics, threads, bide_wall_ms(supervisor->clock));
    *place->failure = '\0';
    place->threads = threads;
    place->replaced = false;
    place->started_ms = bide_mono_ms(supervisor->clock);
    atomic_store(place->beat_ms, place->started_ms);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become_child(supervisor, place, parent);
    if (pid < 0) {
        bide_log(BIDE_LOG_ERROR, "cannot start a worker process", BIDE_STR("error", strerror(errno)));
        return false;
    }
    place->pid = pid;
    atomic_store(&place->metrics->pid, pid);
    bide_log(BIDE_LOG_DEBUG, "worker process started", BIDE_INT("pid", pid));
    return true;
}

void bide_supervisor_start_missing(struct supervisor *supervisor)
{
    int64_t now_ms = bide_mono_ms(supervisor->clock);
    struct place *place;
    if (supervisor->stops > 0 || now_ms < supervisor->start_again_ms)
        return;
    /* No place: so many still finish that the next one to end makes room. */
    for (int n = supervisor->missing; n > 0 && (place = bide_supervisor_free_place(supervisor)); n--)
        if (bide_supervisor_start(supervisor, place, supervisor->force.threads))
            supervisor->missing--;
        else
            supervisor->start_again_ms = now_ms + BIDE_LONGEST_PAUSE_MS;
}

/* ---- the loop ---- */

static bool anyone_left(const struct supervisor *supervisor)
{
    if (supervisor->missing > 0 && supervisor->stops == 0)
        return true;
    for (size_t i = 0; i < supervisor->n_places; i++)
        if (supervisor->places[i].pid > 0)
            return true;
    return false;
}

/* Returns when to do it again, in ms; -1: when something changes. */
static int64_t tell_manager(struct supervisor *supervisor)
{
    int64_t now_ms = bide_mono_ms(supervisor->clock);
    struct bide_notify_news news = {.wanted = supervisor->force.processes,
        .stopping = supervisor->stops > 0,
        .reloading = supervisor->candidate != NULL};
    for (size_t i = 0; i < supervisor->n_places; i++) {
        const struct place *place = &supervisor->places[i];
        if (place->pid == 0)
            continue;
        news.serving += !place->replaced && atomic_load(place->serving);
        int64_t asleep_ms = now_ms - atomic_load(place->beat_ms);
        if (asleep_ms > news.asleep_ms)
            news.asleep_ms = asleep_ms;
    }
    return bide_notify_tell(&supervisor->notify, &news, now_ms);
}

/* A worker tells by SIGUSR1 that it serves or wants a successor, SIGCHLD that it has died. left_ms: -1:
 * without a limit of its own. */
static int wait_for_signal(struct supervisor *supervisor, int64_t left_ms)
{
    if (supervisor->missing > 0 && supervisor->stops == 0 && bide_supervisor_free_place(supervisor)) {
        int64_t start_ms = supervisor->start_again_ms - bide_mono_ms(supervisor->clock);
        start_ms = start_ms < 1 ? 1 : start_ms;
        left_ms = left_ms < 0 || start_ms < left_ms ? start_ms : left_ms;
    }
    const struct timespec timeout = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
    return left_ms >= 0 ? sigtimedwait(&supervisor->signals, NULL, &timeout)
                        : sigwaitinfo(&supervisor->signals, NULL);
}

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* SIGTSTP and SIGCONT: nothing new is begun, what runs finishes. The processes stay, also those that come. */
static void be_quiet(struct supervisor *supervisor, bool quiet)
{
    struct bide_controls *controls = &supervisor->shared->controls;
    if (bide_controls_is_quiet(controls) == quiet)
        return;
    bide_controls_set_quiet(controls, quiet);
    bide_shared_wake(supervisor->shared);
    bide_log(BIDE_LOG_INFO, quiet ? "quiet: nothing new is begun" : "quiet no more");
}

void bide_supervisor_pass_on_stop(struct supervisor *supervisor, int number)
{
    for (size_t i = 0; i < supervisor->n_places; i++) {
        atomic_store(supervisor->places[i].unhurried, 0);
        if (supervisor->places[i].pid > 0)
            kill(supervisor->places[i].pid, number);
    }
}

/* SIGHUP means "read the configuration again", unless it tells of a terminal that is gone. */
static void obey(struct supervisor *supervisor, int number)
{
    bool hung_up = number == SIGHUP && supervisor->has_terminal && !has_terminal();
    if (number == SIGTERM || number == SIGINT || hung_up) {
        bide_supervisor_pass_on_stop(supervisor, supervisor->stops > 0 ? SIGUSR2 : SIGTERM);
        supervisor->stops++;
    } else if (number == SIGHUP) {
        supervisor->reload_wanted = true;
    } else if (number == SIGTSTP || number == SIGCONT) {
        be_quiet(supervisor, number == SIGTSTP);
    }
}

/* The shorter of two waits, of which -1 means for ever. */
static int64_t sooner(int64_t one_ms, int64_t other_ms)
{
    return one_ms < 0 || (other_ms >= 0 && other_ms < one_ms) ? other_ms : one_ms;
}

static void watch(struct supervisor *supervisor)
{
    while (anyone_left(supervisor)) {
        int64_t tend_ms = bide_attendant_tend(
            &supervisor->attendant, supervisor->shared, &supervisor->before, supervisor->clock);
        int64_t wait_ms = sooner(tell_manager(supervisor), bide_supervisor_reload_wait_ms(supervisor));
        obey(supervisor, wait_for_signal(supervisor, sooner(wait_ms, tend_ms)));
        bide_supervisor_bury_the_dead(supervisor);
        bide_supervisor_start_successors(supervisor);
        bide_supervisor_reload(supervisor);
        bide_supervisor_start_missing(supervisor);
    }
}

bide_code bide_supervise(const struct bide_supervisor_options *options, int *ret_status, bide_error *error)
{
    struct supervisor *supervisor = bide_calloc(1, sizeof *supervisor);
    if (!supervisor)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    supervisor->options = options;
    supervisor->clock = bide_clock_system();
    supervisor->force = options->force;
    supervisor->missing = options->force.processes;
    supervisor->has_terminal = has_terminal();
    supervisor->oom_kills = bide_oom_kills();
    supervisor->attendant = (struct bide_attendant){.run = options->attend, .user = options->user};
    bide_code code = share_memory(supervisor, error);
    if (code == BIDE_OK) {
        static const int numbers[] = {SIGTERM, SIGINT, SIGCHLD, SIGUSR1, SIGHUP, SIGTSTP, SIGCONT};
        sigemptyset(&supervisor->signals);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            sigaddset(&supervisor->signals, numbers[i]);
        sigprocmask(SIG_BLOCK, &supervisor->signals, &supervisor->before);
        bide_notify_open(&supervisor->notify);
        bide_supervisor_start_missing(supervisor);
        watch(supervisor);
        bide_attendant_end(&supervisor->attendant);
        bide_notify_close(&supervisor->notify);
        sigprocmask(SIG_SETMASK, &supervisor->before, NULL);
        *ret_status = supervisor->status;
        bide_shared_unmap(supervisor->shared);
    }
    if (supervisor->memory)
        munmap(supervisor->memory, supervisor->memory_size);
    bide_free(supervisor);
    return code;
}
