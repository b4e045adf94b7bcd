/* The supervisor's children: the memory that they share, and how they are started. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bide/log.h"
#include "supervisor/supervising.h"

enum { LEAST_FORCE = 8 }; /* places for at least so many processes, because a reload may ask for more */

bide_code bide_supervisor_share_memory(struct supervisor *supervisor, bide_error *error)
{
    const struct bide_workforce force = supervisor->options->force;
    size_t n_places =
        BIDE_PLACES_EACH * (size_t)(force.processes > LEAST_FORCE ? force.processes : LEAST_FORCE);
    bide_states_init(&supervisor->states, force, supervisor->places, n_places);
    bide_code code = bide_shared_map(n_places, bide_wall_ms(supervisor->clock), &supervisor->shared, error);
    for (size_t i = 0; code == BIDE_OK && i < n_places; i++) {
        supervisor->children[i].metrics = &supervisor->shared->places[i];
        supervisor->children[i].process = &supervisor->shared->places[i].process;
    }
    return code;
}

/* ---- starting ---- */

static void do_nothing(int number)
{
    (void)number;
}

/* A terminal sends these signals to every process of its group, but only the supervisor acts on them. The
 * handler is not SIG_IGN, which programs started by a handler would inherit. If nohup has set SIGHUP to
 * ignored, it stays so. */
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
    if (getppid() != parent) /* the supervisor died before the line above */
        _exit(EXIT_FAILURE);
    ignore_terminal(supervisor);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    /* Processes that this one forks (sandboxes, commands) do not get the shared memory. */
    madvise(supervisor->shared, bide_shared_size(supervisor->states.n_places), MADV_DONTFORK);
    const struct bide_supervised shared =
        bide_shared_view(supervisor->shared, place, supervisor->places[place].role == BIDE_ROLE_CANDIDATE);
    int status = supervisor->options->run(supervisor->options->user, &shared);
    atomic_store(&child->process->returned, 1);
    exit(status);
}

static void make_ready(struct child *child, int threads, int64_t beat_ms, int64_t wall_ms)
{
    struct bide_process *process = child->process;
    atomic_store(&process->serving, 0);
    atomic_store(&process->unhurried, 0);
    atomic_store(&process->leaving, BIDE_STAYS);
    atomic_store(&process->returned, 0);
    atomic_store(&process->beat_ms, beat_ms);
    *process->failure = '\0';
    memset(process->slots, 0, (size_t)threads * sizeof *process->slots);
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
