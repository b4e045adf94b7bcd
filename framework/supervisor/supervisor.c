#include "supervisor/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bide/log.h"
#include "supervisor/supervising.h"

/* ---- signals ---- */

static const int obeyed[] = {SIGTERM, SIGINT, SIGCHLD, SIGUSR1, SIGHUP, SIGTSTP, SIGCONT};

/* Restores the default actions, whatever the parent process has ignored or blocked: so the supervisor notices
 * deaths and it and its children obey stops. The signals stay blocked here, so that none ends this process
 * before it returns its status. If SIGHUP is ignored although there is a terminal, nohup did that: it stays
 * ignored. */
static void take_signals(struct supervisor *supervisor)
{
    struct sigaction hang_up;
    sigaction(SIGHUP, NULL, &hang_up);
    bool nohup = supervisor->has_terminal && hang_up.sa_handler == SIG_IGN;
    sigemptyset(&supervisor->signals);
    for (size_t i = 0; i < sizeof obeyed / sizeof obeyed[0]; i++)
        if (obeyed[i] != SIGHUP || !nohup)
            sigaddset(&supervisor->signals, obeyed[i]);
    sigprocmask(SIG_BLOCK, &supervisor->signals, NULL);
    for (size_t i = 0; i < sizeof obeyed / sizeof obeyed[0]; i++)
        if (sigismember(&supervisor->signals, obeyed[i]))
            signal(obeyed[i], SIG_DFL);
    if (nohup)
        bide_log(BIDE_LOG_INFO, "started with nohup: SIGHUP is ignored");
}

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* SIGTSTP and SIGCONT: while quiet, processes begin nothing new and finish what they run. This holds for new
 * processes too. */
static void be_quiet(struct supervisor *supervisor, bool quiet)
{
    struct bide_controls *controls = &supervisor->shared->controls;
    if (bide_controls_is_quiet(controls) == quiet)
        return;
    bide_controls_set_quiet(controls, quiet);
    bide_shared_wake(supervisor->shared);
    bide_log(BIDE_LOG_INFO, quiet ? "quiet: nothing new is begun" : "quiet no more");
}

/* SIGHUP means "read the configuration again", or that the terminal is gone. A shell and the system may both
 * send it for a terminal; the second one is not a second stop. */
static void hang_up(struct supervisor *supervisor, int64_t now_ms)
{
    if (supervisor->has_terminal && !has_terminal()) {
        if (supervisor->states.phase == BIDE_PHASE_ON)
            bide_states_stop(&supervisor->states, now_ms);
    } else if (supervisor->options->prepare) {
        bide_states_reload(&supervisor->states);
        if (bide_states_is_crowded(&supervisor->states))
            bide_log(
                BIDE_LOG_WARN, "reload waits: too many processes of earlier configurations still finish");
    }
}

/* SIGUSR1 and SIGCHLD only wake the loop: a worker sends SIGUSR1 when it serves or leaves, the kernel SIGCHLD
 * when a worker has died. */
static void obey(struct supervisor *supervisor, int number)
{
    if (number == SIGTERM || number == SIGINT)
        bide_states_stop(&supervisor->states, bide_mono_ms(supervisor->clock));
    else if (number == SIGHUP)
        hang_up(supervisor, bide_mono_ms(supervisor->clock));
    else if (number == SIGTSTP || number == SIGCONT)
        be_quiet(supervisor, number == SIGTSTP);
}

/* Waits for a signal, and handles all that have arrived, but at most AT_ONCE: they may arrive faster than
 * that. ms: -1: without a limit. */
static void wait_for_signals(struct supervisor *supervisor, int64_t ms)
{
    const struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, none = {0};
    enum { AT_ONCE = 64 };
    int number = ms >= 0 ? sigtimedwait(&supervisor->signals, NULL, &timeout)
                         : sigwaitinfo(&supervisor->signals, NULL);
    for (int n = 1; number > 0; n++) {
        obey(supervisor, number);
        number = n < AT_ONCE ? sigtimedwait(&supervisor->signals, NULL, &none) : 0;
    }
}

/* ---- steps ---- */

static void log_refusal(const char *why)
{
    bide_log(BIDE_LOG_ERROR, "new configuration refused: the old one stays in use", BIDE_STR("error", why));
}

static void prepare(struct supervisor *supervisor)
{
    const struct bide_supervisor_options *options = supervisor->options;
    struct bide_workforce force;
    bide_error error = {0};
    bide_log(BIDE_LOG_INFO, "reading the configuration again");
    bide_code code = options->prepare(options->user, &force, &error);
    bide_states_prepared(&supervisor->states, code == BIDE_OK ? &force : NULL);
    if (code != BIDE_OK)
        log_refusal(error.text);
}

static void send_signal(struct supervisor *supervisor, const struct bide_step *step)
{
    const struct child *child = &supervisor->children[step->place];
    atomic_store(&child->process->unhurried, supervisor->places[step->place].unhurried);
    kill(child->pid, step->signal);
    if (step->signal == SIGKILL)
        bide_log(
            BIDE_LOG_ERROR, "worker process is killed: it did not end in time", BIDE_INT("pid", child->pid));
}

static void conclude(struct supervisor *supervisor, const struct bide_step *step)
{
    supervisor->options->conclude(supervisor->options->user, step->kind == BIDE_STEP_ACCEPT);
    for (size_t i = 0; step->kind == BIDE_STEP_ACCEPT && i < BIDE_ATTENDANTS_MAX; i++)
        bide_attendant_renew(&supervisor->attendants[i], supervisor->clock);
    if (step->kind != BIDE_STEP_ACCEPT)
        log_refusal(step->why);
}

static void perform(struct supervisor *supervisor, const struct bide_step *step)
{
    switch (step->kind) {
    case BIDE_STEP_START:
        if (!bide_supervisor_start(supervisor, step->place))
            bide_states_not_started(&supervisor->states, step->place, bide_mono_ms(supervisor->clock));
        break;
    case BIDE_STEP_SIGNAL:
        send_signal(supervisor, step);
        break;
    case BIDE_STEP_PREPARE:
        prepare(supervisor);
        break;
    case BIDE_STEP_ACCEPT:
    case BIDE_STEP_REFUSE:
        conclude(supervisor, step);
        break;
    }
}

/* ---- the loop ---- */

/* Tells the service manager the state. Returns in how many ms to do it again; -1: after a change. Only
 * members must show signs of life: a leaving process has a limit of its own. */
static int64_t tell_manager(struct supervisor *supervisor)
{
    const struct bide_states *states = &supervisor->states;
    int64_t now_ms = bide_mono_ms(supervisor->clock);
    struct bide_notify_news news = {.wanted = states->force.processes,
        .stopping = states->phase != BIDE_PHASE_ON,
        .reloading = bide_states_is_reloading(states)};
    for (size_t i = 0; i < states->n_places; i++) {
        const struct bide_process *process = supervisor->children[i].process;
        if (states->places[i].role != BIDE_ROLE_MEMBER)
            continue;
        news.serving += states->places[i].serves;
        int64_t asleep_ms = now_ms - atomic_load(&process->beat_ms);
        if (asleep_ms > news.asleep_ms)
            news.asleep_ms = asleep_ms;
    }
    return bide_notify_tell(&supervisor->notify, &news, now_ms);
}

/* The shorter of two waits; -1 means for ever. */
static int64_t sooner(int64_t one_ms, int64_t other_ms)
{
    return one_ms < 0 || (other_ms >= 0 && other_ms < one_ms) ? other_ms : one_ms;
}

static int64_t take_steps(struct supervisor *supervisor)
{
    struct bide_step step;
    while (bide_states_next(&supervisor->states, bide_mono_ms(supervisor->clock), &step))
        perform(supervisor, &step);
    return bide_states_wait_ms(&supervisor->states, bide_mono_ms(supervisor->clock));
}

/* Returns in how many ms to do it again; -1: after a change. */
static int64_t tend_attendants(struct supervisor *supervisor)
{
    int64_t wait_ms = -1;
    for (size_t i = 0; i < BIDE_ATTENDANTS_MAX; i++)
        wait_ms = sooner(
            wait_ms, bide_attendant_tend(&supervisor->attendants[i], supervisor->shared, supervisor->clock));
    return wait_ms;
}

static void watch(struct supervisor *supervisor)
{
    int64_t wait_ms = take_steps(supervisor);
    while (!bide_states_over(&supervisor->states, bide_mono_ms(supervisor->clock))) {
        int64_t tend_ms = tend_attendants(supervisor);
        wait_for_signals(supervisor, sooner(wait_ms, sooner(tell_manager(supervisor), tend_ms)));
        for (size_t i = 0; i < supervisor->states.n_places; i++)
            if (supervisor->children[i].pid > 0)
                bide_supervisor_look_at(supervisor, i);
        bide_supervisor_bury_the_dead(supervisor);
        wait_ms = take_steps(supervisor);
    }
}

static void log_left_behind(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->states.n_places; i++)
        if (supervisor->children[i].pid > 0)
            bide_log(BIDE_LOG_ERROR, "worker process did not end: it is left behind",
                BIDE_INT("pid", supervisor->children[i].pid));
}

bide_code bide_supervise(const struct bide_supervisor_options *options, int *ret_status, bide_error *error)
{
    struct supervisor *supervisor = bide_calloc(1, sizeof *supervisor);
    if (!supervisor)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    supervisor->options = options;
    supervisor->clock = bide_clock_system();
    supervisor->has_terminal = has_terminal();
    supervisor->oom_kills = bide_oom_kills();
    for (size_t i = 0; i < options->n_attend; i++)
        supervisor->attendants[i] = (struct bide_attendant){.is = options->attend[i], .user = options->user};
    bide_code code = bide_supervisor_share_memory(supervisor, error);
    if (code == BIDE_OK) {
        take_signals(supervisor);
        bide_notify_open(&supervisor->notify);
        watch(supervisor);
        log_left_behind(supervisor);
        for (size_t i = 0; i < BIDE_ATTENDANTS_MAX; i++)
            if (supervisor->attendants[i].pid > 0)
                kill(supervisor->attendants[i].pid, SIGUSR2); /* all at once; then each has its second */
        for (size_t i = 0; i < BIDE_ATTENDANTS_MAX; i++)
            bide_attendant_end(&supervisor->attendants[i]);
        bide_notify_close(&supervisor->notify);
        *ret_status = supervisor->states.status;
        bide_shared_unmap(supervisor->shared);
    }
    bide_free(supervisor);
    return code;
}
