/* bide worker: a thin shell around bide/worker.h. */
#include <signal.h>
#include <stdatomic.h>

#include "bide/worker.h"
#include "cli/session.h"

struct values {
    int64_t threads, exit_idle_ms;
};

static const struct bide_cli_option options[] = {
    {"threads", BIDE_CLI_INT, offsetof(struct values, threads), .value = "N", .min = 1, .max = 256,
        .help = "Handlers that run at once, instead of the configuration's worker.threads."},
    {"exit-idle", BIDE_CLI_DURATION, offsetof(struct values, exit_idle_ms), .value = "DURATION",
        .help =
            "Leave with status 0 after so long with nothing to run, to land or to settle: 5s, 10m (default: "
            "never)."},
    {0},
};

/* A signal handler has no argument: the one mutable global of the command line. */
static _Atomic(bide_worker *) signalled_worker;

static void on_signal(int number)
{
    bide_worker *worker = atomic_load(&signalled_worker);
    (void)number;
    if (worker)
        bide_worker_stop(worker);
}

/* Pool threads block signals, so that handlers see no EINTR; this thread's calls are restarted. */
static void catch_signals(bide_worker *worker)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    atomic_store(&signalled_worker, worker);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static bide_code run(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct values *values = given;
    const char *path = bide_cli_config_path(cli);
    bide_worker_options worker_options = {0};
    bide_worker *worker;
    if (!path)
        return bide_fail(error, BIDE_E_CONFIG,
            "a worker needs a configuration with handlers: there is neither ./bide.conf nor "
            "/etc/bide/bide.conf; give "
            "one with -c FILE");
    bide_code code = bide_cli_broker_override(cli, &worker_options.broker, error);
    worker_options.threads = values->threads == BIDE_CLI_UNSET ? 0 : (int)values->threads;
    worker_options.exit_idle_ms = values->exit_idle_ms == BIDE_CLI_UNSET ? 0 : values->exit_idle_ms;
    signal(SIGPIPE, SIG_IGN);
    if (code == BIDE_OK)
        code = bide_worker_create(path, &worker_options, &worker, error);
    if (code != BIDE_OK)
        return code;
    catch_signals(worker);
    code = bide_worker_run(worker, error);
    atomic_store(&signalled_worker, NULL);
    bide_worker_destroy(worker);
    return code;
}

const struct bide_cli_command bide_cli_worker = {
    .name = "worker",
    .usage = "[--threads N] [--exit-idle DURATION] [options]",
    .summary = "Runs handlers until SIGTERM or SIGINT.",
    .details = "At the first signal it takes nothing new and finishes what runs, at most worker.drain long; "
               "then, or "
               "at a second\nsignal, it hands back what is in flight and leaves.",
    .options = options,
    .values_size = sizeof(struct values),
    .log_level = BIDE_LOG_INFO,
    .run = run,
};
