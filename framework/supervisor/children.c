/* The supervisor's children: what it shares with them, and how they begin. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bide/log.h"
#include "supervisor/supervising.h"

enum { LEAST_FORCE = 8 }; /* processes there are places for in any case: a reload may ask for more */

static size_t whole_lines(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

static bide_code map_tables(struct supervisor *supervisor, size_t n_places, bide_error *error)
{
    size_t a_place = whole_lines(sizeof(struct flags) + BIDE_THREADS_MAX * sizeof(struct bide_slot));
    size_t crashes_size = whole_lines(sizeof(struct bide_crashes));
    size_t tables_size = crashes_size + whole_lines(sizeof(struct bide_circuits));
    supervisor->memory_size = tables_size + n_places * a_place;
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
    for (size_t i = 0; i < n_places; i++)
        supervisor->children[i].flags = (struct flags *)(void *)(memory + tables_size + i * a_place);
    return BIDE_OK;
}

bide_code bide_supervisor_share_memory(struct supervisor *supervisor, bide_error *error)
{
    const struct bide_workforce force = supervisor->options->force;
    size_t n_places =
        BIDE_PLACES_EACH * (size_t)(force.processes > LEAST_FORCE ? force.processes : LEAST_FORCE);
    bide_states_init(&supervisor->states, force, supervisor->places, n_places);
    bide_code code = map_tables(supervisor, n_places, error);
    if (code == BIDE_OK)
        code = bide_shared_map(n_places, bide_wall_ms(supervisor->clock), &supervisor->shared, error);
    for (size_t i = 0; code == BIDE_OK && i < n_places; i++)
        supervisor->children[i].metrics = &supervisor->shared->places[i];
    return code;
}

/* ---- starting ---- */

static void do_nothing(int number)
{
    (void)number;
}

/* A terminal sends these to every process of its group; what they mean is the supervisor's business. Not
 * SIG_IGN, which programs that a handler starts would inherit; but what nohup ignores stays ignored. */
static void ignore_terminal(const struct supervisor *supervisor)
{
    struct sigaction action = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigismember(&supervisor->signals, SIGHUP))
        sigaction(SIGHUP, &action, NULL);
    sigaction(SIGTSTP, &action, NULL);
}

static _Noreturn void become_child(struct supervisor *supervisor, size_t place, pid_t parent)
{
    const struct child *child = &supervisor->children[place];
    sigset_t nothing;
    sigemptyset(&nothing);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before the line above */
        _exit(EXIT_FAILURE);
    ignore_terminal(supervisor);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    /* What this process forks itself (sandboxes, commands) has no business in here. */
    madvise(supervisor->memory, supervisor->memory_size, MADV_DONTFORK);
    madvise(supervisor->shared, bide_shared_size(supervisor->states.n_places), MADV_DONTFORK);
    const struct bide_supervised shared = {
        .supervisor = parent,
        .crashes = supervisor->crashes,
        .circuits = supervisor->circuits,
        .slots = child->flags->slots,
        .shared = supervisor->shared,
        .metrics = child->metrics,
        .serving = &child->flags->serving,
        .unhurried = &child->flags->unhurried,
        .candidate = supervisor->places[place].role == BIDE_ROLE_CANDIDATE,
        .failure = child->flags->failure,
        .beat_ms = &child->flags->beat_ms,
        .returned = &child->flags->returned,
        .leaving = &child->flags->leaving,
    };
    int status = supervisor->options->run(supervisor->options->user, &shared);
    atomic_store(&child->flags->returned, 1);
    exit(status);
}

static void make_ready(struct child *child, int threads, int64_t beat_ms, int64_t wall_ms)
{
    struct flags *flags = child->flags;
    atomic_store(&flags->serving, 0);
    atomic_store(&flags->unhurried, 0);
    atomic_store(&flags->leaving, BIDE_STAYS);
    atomic_store(&flags->returned, 0);
    atomic_store(&flags->beat_ms, beat_ms);
    *flags->failure = '\0';
    memset(flags->slots, 0, (size_t)threads * sizeof *flags->slots);
    child->threads = threads;
    bide_metrics_begin(child->metrics, threads, wall_ms);
}

bool bide_supervisor_start(struct supervisor *supervisor, size_t place)
{
    const struct bide_states *states = &supervisor->states;
    struct child *child = &supervisor->children[place];
    bool candidate = states->places[place].role == BIDE_ROLE_CANDIDATE;
    make_ready(child, candidate ? states->next_force.threads : states->force.threads,
        states->places[place].started_ms, bide_wall_ms(supervisor->clock));
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become_child(supervisor, place, parent);
    if (pid < 0) {
        bide_log(BIDE_LOG_ERROR, "cannot start a worker process", BIDE_STR("error", strerror(errno)));
        bide_metrics_end(child->metrics);
        return false;
    }
    child->pid = pid;
    atomic_store(&child->metrics->pid, pid);
    bide_log(BIDE_LOG_DEBUG, "worker process started", BIDE_INT("pid", pid));
    return true;
}
