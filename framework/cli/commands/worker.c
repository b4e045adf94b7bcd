/* bide worker: a supervisor, and in each of its children a thin shell around bide/worker.h. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bide/log.h"
#include "bide/worker.h"
#include "broker/risk.h"
#include "cli/commands/worker.h"
#include "cli/core/session.h"
#include "console/console.h"
#include "relay/process.h"
#include "schedules/process.h"
#include "worker/supervised.h"

enum {
    CONSOLE_TIMEOUT_MS = 3000, /* of one question to the broker */
    CLOSE_S = 5,               /* for all plugins to close */
};

struct values {
    int64_t threads, exit_idle_ms;
    bool no_wait;
};

static const struct bide_cli_option options[] = {
    {"threads", BIDE_CLI_INT, offsetof(struct values, threads), .value = "N", .min = 1, .max = 256,
        .help = "Handlers that run at once, instead of the configuration's worker.threads."},
    {"exit-idle", BIDE_CLI_DURATION, offsetof(struct values, exit_idle_ms), .value = "DURATION",
        .help =
            "Leave with status 0 after so long with nothing to run, to land or to settle: 5s, 10m (default: "
            "never). Not while the broker is away, a circuit is open or something is paused."},
    {"no-wait", BIDE_CLI_FLAG, offsetof(struct values, no_wait),
        .help =
            "Leave with status 69 where the broker is out of reach at the start, instead of waiting for it."},
    {0},
};

/* A signal handler has no argument: the one mutable global of the command line. */
static _Atomic(bide_worker *) signalled_worker;

static void on_signal(int number)
{
    bide_worker *worker = atomic_load(&signalled_worker);
    int error_number = errno;
    if (worker)
        bide_worker_on_signal(worker, number);
    errno = error_number;
}

/* Pool threads block signals, so that handlers see no EINTR; this thread's calls are restarted. */
static void catch_signals(bide_worker *worker)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    atomic_store(&signalled_worker, worker);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigaction(SIGURG, &action, NULL);
}

/* What the children need to know; read before the fork. */
struct start {
    struct bide_cli *cli;
    const char *path;
    int threads; /* 0: the configuration's */
    bool no_wait;
    bide_worker_options options;
    struct bide_cli_generation now;
    struct bide_cli_generation next;                 /* a reload's, until it is concluded */
    struct bide_listeners listeners, next_listeners; /* the same but during a reload */
};

/* Without the spool where --broker names another broker: what lies there is carried to that of all others. */
static bide_code read_generation(
    const struct start *start, struct bide_cli_generation *ret_generation, bide_error *error)
{
    bide_code code = bide_cli_generation_read(start->path, ret_generation, error);
    if (code == BIDE_OK && start->cli->broker)
        bide_cli_drop_spool(ret_generation->config);
    return code;
}

/* This process's own copy of the generation it belongs to. */
static struct bide_config *take_config(struct start *start, const struct bide_supervised *shared)
{
    struct bide_cli_generation *generation = shared->candidate ? &start->next : &start->now;
    struct bide_config *config = generation->config;
    generation->config = NULL;
    return config;
}

static void set_log_level(const struct start *start, const struct bide_config *config)
{
    if (start->cli->log_level < 0)
        bide_log_set_level((bide_log_level)config->worker.log_level);
}

/* Why a candidate fails is for the supervisor to say. */
static void explain(const struct start *start, const struct bide_supervised *shared, const bide_error *error)
{
    if (shared->candidate && !atomic_load(&shared->process->serving))
        snprintf(shared->process->failure, BIDE_ERROR_SIZE, "%s", error->text);
    else
        bide_cli_print_error(start->cli, error);
}

/* ---- plugins that do not close ---- */

struct last_resort {
    const struct bide_supervised *shared;
    int status;
};

static void *leave_anyway(void *user)
{
    const struct last_resort *resort = user;
    const struct timespec patience = {.tv_sec = CLOSE_S};
    nanosleep(&patience, NULL);
    bide_log(BIDE_LOG_ERROR, "a plugin's close does not return: the process leaves without it",
        BIDE_INT("waited_s", CLOSE_S));
    atomic_store(&resort->shared->process->returned, 1);
    _exit(resort->status);
}

/* Everything is settled: a plugin that hangs in close must not keep the process. It ends before that thread
 * has slept, or by it. */
static void bound_the_closing(const struct bide_supervised *shared, bide_code code)
{
    static struct last_resort resort; /* outlives this call; a process closes once */
    pthread_t thread;
    resort = (struct last_resort){.shared = shared, .status = bide_code_exit(code)};
    if (pthread_create(&thread, NULL, leave_anyway, &resort) == 0)
        pthread_detach(thread);
}

static bide_code serve(struct start *start, const struct bide_supervised *shared, bide_error *error)
{
    bide_worker *worker;
    struct bide_config *config = take_config(start, shared);
    set_log_level(start, config);
    bide_config_forget_secrets(config);
    if (bide_cli_only_sends(config)) {
        bide_cli_placeholder_run(shared);
        bide_config_destroy(config);
        return BIDE_OK;
    }
    unsetenv("BIDE_BROKER"); /* its URL, too, may hold a password; a reload happens in the supervisor */
    bide_code code = bide_worker_create_from(config, &start->options, &worker, error);
    if (code != BIDE_OK)
        return code;
    code = bide_worker_supervised_by(worker, shared, error);
    if (code == BIDE_OK) {
        if (!start->no_wait && !shared->candidate) /* a reload is refused where its broker is away */
            bide_worker_wait_for_broker(worker);
        catch_signals(worker);
        code = bide_worker_run(worker, error);
        atomic_store(&signalled_worker, NULL);
    }
    if (bide_worker_abandoned(worker)) { /* a handler still runs: what exit() would tear down is in use */
        if (code != BIDE_OK)
            explain(start, shared, error);
        atomic_store(&shared->process->returned, 1);
        _exit(bide_code_exit(code));
    }
    bound_the_closing(shared, code);
    bide_worker_destroy(worker);
    return code;
}

static int child_main(void *user, const struct bide_supervised *shared)
{
    struct start *start = user;
    bide_error error = {0};
    bide_listeners_drop(&start->next_listeners, &start->listeners);
    bide_listeners_close(&start->listeners);
    bide_code code = serve(start, shared, &error);
    if (code != BIDE_OK)
        explain(start, shared, &error);
    return bide_code_exit(code);
}

static struct bide_workforce force_of(const struct start *start, const struct bide_config *config)
{
    return (struct bide_workforce){
        .processes = config->worker.processes,
        .threads = start->threads ? start->threads : config->worker.threads,
        .drain_ms = config->worker.drain_ms,
    };
}

/* ---- reloading ---- */

static bide_code prepare(void *user, struct bide_workforce *ret_force, bide_error *error)
{
    struct start *start = user;
    bide_code code = read_generation(start, &start->next, error);
    if (code != BIDE_OK)
        return code;
    *ret_force = force_of(start, start->next.config);
    code = bide_listeners_prepare(
        &start->listeners, start->now.config, start->next.config, &start->next_listeners, error);
    if (code != BIDE_OK)
        bide_cli_generation_release(&start->next);
    return code;
}

/* What changes is said at the more talkative of both levels. */
static void conclude(void *user, bool accepted)
{
    struct start *start = user;
    if (!accepted) {
        bide_cli_generation_release(&start->next);
        bide_listeners_remove_dropped(&start->next_listeners, &start->listeners);
        start->next_listeners = start->listeners;
        return;
    }
    bide_listeners_remove_dropped(&start->listeners, &start->next_listeners);
    start->listeners = start->next_listeners;
    if (start->next.config->worker.log_level < start->now.config->worker.log_level)
        set_log_level(start, start->next.config);
    bide_cli_generation_log_changes(&start->now, &start->next);
    set_log_level(start, start->next.config);
    bide_cli_generation_release(&start->now);
    start->now = start->next;
    start->next = (struct bide_cli_generation){0};
}

/* ---- the console ---- */

/* This process's own copy of the configuration that holds now, with the broker the command line names. */
static bide_code open_session(struct start *start, struct bide_cli_session *ret_session, bide_error *error)
{
    struct bide_config *config = start->now.config;
    start->now.config = NULL;
    if (start->options.broker && bide_broker_override(config, start->options.broker, error) != BIDE_OK) {
        bide_config_destroy(config);
        return BIDE_E_NOMEM;
    }
    return bide_cli_session_from(start->cli, config, ret_session, error);
}

static bide_code serve_console(struct start *start, struct bide_shared *shared, bide_error *error)
{
    struct bide_cli_session session;
    bide_code code = open_session(start, &session, error);
    if (code != BIDE_OK)
        return code;
    session.broker.options.timeout_ms = CONSOLE_TIMEOUT_MS;
    const struct bide_console_options console = {
        .config = session.config,
        .adapter = session.broker.adapter,
        .broker = &session.broker.options,
        .listeners = &start->listeners,
        .shared = shared,
    };
    code = bide_console_run(&console, error);
    bide_cli_session_close(&session);
    return code;
}

static int console_main(void *user, size_t number, struct bide_shared *shared)
{
    struct start *start = user;
    (void)number;
    bide_error error = {0};
    bide_code code = serve_console(start, shared, &error);
    if (code != BIDE_OK)
        bide_cli_print_error(start->cli, &error);
    return bide_code_exit(code);
}

/* ---- the clock ---- */

static bool wants_clock(void *user, size_t number)
{
    const struct start *start = user;
    (void)number;
    return start->now.config->schedules != NULL;
}

static int clock_main(void *user, size_t number, struct bide_shared *shared)
{
    struct start *start = user;
    struct bide_cli_session session;
    bide_error error = {0};
    (void)number, (void)shared;
    bide_listeners_close(&start->listeners);
    bide_code code = open_session(start, &session, &error);
    if (code == BIDE_OK) {
        code = bide_schedules_run(session.config, &error);
        bide_cli_session_close(&session);
    }
    if (code != BIDE_OK)
        bide_cli_print_error(start->cli, &error);
    return bide_code_exit(code);
}

/* ---- relays ---- */

static bool wants_relay(void *user, size_t number)
{
    const struct start *start = user;
    return number < start->now.config->n_relays;
}

static int relay_main(void *user, size_t number, struct bide_shared *shared)
{
    struct start *start = user;
    struct bide_cli_session session;
    bide_error error = {0};
    sigset_t stops;
    bide_listeners_close(&start->listeners);
    sigemptyset(&stops);
    sigaddset(&stops, SIGUSR2);
    bide_code code = open_session(start, &session, &error);
    if (code == BIDE_OK) {
        code = bide_relay_run(
            session.config, &session.config->relays[number], &shared->relays[number], &stops, NULL, &error);
        bide_cli_session_close(&session);
    }
    if (code != BIDE_OK)
        bide_cli_print_error(start->cli, &error);
    return bide_code_exit(code);
}

/* ---- starting ---- */

/* Once, by the supervisor. An URL that is none fails where it is used. */
static void warn_of_risk(const struct start *start)
{
    const char *given = start->options.broker ? start->options.broker : start->now.config->broker;
    struct bide_url url = {0};
    const char *risk = bide_url_parse(given, &url, NULL) == BIDE_OK ? bide_broker_risk(&url) : NULL;
    if (risk)
        bide_log(BIDE_LOG_WARN, "the connection to the broker is not safe", BIDE_STR("why", risk),
            BIDE_STR("broker", url.redacted));
    bide_url_clear(&url);
}

static bide_code supervise(struct start *start, bide_error *error)
{
    bide_code code = read_generation(start, &start->now, error);
    if (code != BIDE_OK)
        return code;
    set_log_level(start, start->now.config);
    warn_of_risk(start);
    struct bide_attending attend[BIDE_ATTENDANTS_MAX] = {
        {.name = "console", .run = console_main},
        {.name = "clock", .run = clock_main, .is_wanted = wants_clock},
    };
    for (size_t i = 0; i < BIDE_RELAYS_MAX; i++)
        attend[2 + i] = (struct bide_attending){
            .name = "relay", .run = relay_main, .is_wanted = wants_relay, .number = i};
    const struct bide_supervisor_options supervision = {
        .force = force_of(start, start->now.config),
        .run = child_main,
        .prepare = prepare,
        .conclude = conclude,
        .attend = attend,
        .n_attend = BIDE_ATTENDANTS_MAX,
        .user = start,
    };
    signal(SIGPIPE, SIG_IGN); /* the supervisor's log may go to a pipe, too */
    code = bide_listeners_open(start->now.config, &start->listeners, error);
    start->next_listeners = start->listeners;
    if (code == BIDE_OK) {
        code = bide_supervise(&supervision, &start->cli->status, error);
        bide_listeners_remove(&start->listeners);
    }
    bide_cli_generation_release(&start->now);
    return code;
}

static bide_code run(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct values *values = given;
    struct start start = {.cli = cli, .path = bide_cli_config_path(cli)};
    if (!start.path)
        return bide_fail(error, BIDE_E_CONFIG,
            "a worker needs a configuration with handlers: there is neither ./bide.conf nor "
            "/etc/bide/bide.conf; give one with -c FILE");
    bide_code code = bide_cli_broker_override(cli, &start.options.broker, error);
    if (code != BIDE_OK)
        return code;
    start.threads = values->threads == BIDE_CLI_UNSET ? 0 : (int)values->threads;
    start.options.threads = start.threads;
    start.no_wait = values->no_wait;
    start.options.exit_idle_ms = values->exit_idle_ms == BIDE_CLI_UNSET ? 0 : values->exit_idle_ms;
    return supervise(&start, error);
}

const struct bide_cli_command bide_cli_worker = {
    .name = "worker",
    .usage = "[--threads N] [--exit-idle DURATION] [--no-wait] [options]",
    .examples = "bide worker -c shop.conf\nbide worker --exit-idle 5m   # for a timer or a script: leaves "
                "when nothing is left to do",
    .summary = "Runs handlers until SIGTERM or SIGINT.",
    .details =
        "At the first signal it takes nothing new and finishes what runs, at most worker.drain long; "
        "then, or at a second\nsignal, it hands back what is in flight and leaves. SIGHUP: reads the "
        "configuration and the plugins again, without\nlosing a message; what is wrong with them is "
        "logged, and the old ones stay in use. SIGTSTP: begins nothing new, until SIGCONT.\n"
        "A broker that is out of reach at the start is waited for (not with --no-wait).\n"
        "With `schedules` it has a clock, which fires them (docs/schedules.md), with `relays` a process for "
        "each, "
        "which carries\nmessages (docs/outbox.md), and likewise with a `spool` (docs/spool.md). Without "
        "handlers, but with one of these, http.listen or "
        "http.send_socket, it only sends\n(docs/sending.md).\n"
        "Exit status: 0 when it was told to stop, or idle; else why its first process could not start.",
    .options = options,
    .values_size = sizeof(struct values),
    .log_level = BIDE_LOG_INFO,
    .run = run,
};
