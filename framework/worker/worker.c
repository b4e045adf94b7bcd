#include "bide/worker.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "dispatch/program/host.h"
#include "store/configured.h"
#include "worker/assemble.h"
#include "worker/connecting.h"
#include "worker/intake.h"
#include "worker/supervised.h"

enum {
    JOIN_MS = 5 * 1000,
    STORE_TIMEOUT_MS = 5 * 1000, /* of a call, and so how long a worker that leaves may wait for one */
};

struct bide_worker {
    struct bide_config *config;
    struct bide_configured_broker broker;
    struct bide_configured_store store;
    const struct bide_clock *clock;
    struct bide_handlers handlers;
    struct bide_intake intake;
    bool waits;     /* for a broker that is out of reach when it starts */
    bool abandoned; /* a handler did not return: what it may use stays */
};

static bide_code apply_options(
    struct bide_worker *worker, const bide_worker_options *options, bide_error *error)
{
    struct bide_config *config = worker->config;
    if (options && options->threads > 0)
        config->worker.threads = options->threads;
    bide_code code =
        options && options->broker ? bide_broker_override(config, options->broker, error) : BIDE_OK;
    if (code != BIDE_OK)
        return code;
    if (!config->broker)
        return bide_fail(
            error, BIDE_E_CONFIG, "%s: no broker: add broker = \"sqlite:bide.db\";", config->path);
    if (config->n_handlers == 0)
        return bide_fail(error, BIDE_E_CONFIG,
            "%s: no handlers: a worker needs at least one, or http.listen, http.send_socket or schedules to "
            "only "
            "send",
            config->path);
    return bide_broker_configure(config, "worker", &worker->broker, error);
}

/* The configuration is the worker's; NULL: still the caller's. */
static bide_worker *allocate(struct bide_config *config)
{
    struct bide_worker *worker = bide_calloc(1, sizeof *worker);
    if (!worker)
        return NULL;
    worker->config = config;
    worker->clock = bide_clock_system();
    worker->intake.wakeup.fd = -1;
    return worker;
}

static bide_code without_memory(struct bide_config *config, bide_error *error)
{
    bide_config_destroy(config);
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static bide_code find_store(struct bide_worker *worker, bide_error *error)
{
    bide_code code = bide_store_configure(worker->config, "worker", &worker->store, error);
    worker->store.options.timeout_ms = STORE_TIMEOUT_MS;
    return code == BIDE_OK ? bide_store_require(worker->config, &worker->store, NULL, error) : code;
}

/* Broker and handlers are known, or the code says why not. */
static bide_code finish(struct bide_worker *worker, bide_code code, int64_t exit_idle_ms,
    bide_worker **ret_worker, bide_error *error)
{
    if (code == BIDE_OK)
        code = find_store(worker, error);
    if (code == BIDE_OK)
        code = bide_intake_init(&worker->intake, worker->config, &worker->handlers, worker->clock, error);
    if (code != BIDE_OK) {
        bide_worker_destroy(worker);
        return code;
    }
    worker->intake.ending.exit_idle_us = exit_idle_ms * 1000;
    *ret_worker = worker;
    return BIDE_OK;
}

bide_code bide_worker_create(
    const char *config_path, const bide_worker_options *options, bide_worker **ret_worker, bide_error *error)
{
    struct bide_config *config;
    bide_code code = bide_config_load(config_path, &config, error);
    return code == BIDE_OK ? bide_worker_create_from(config, options, ret_worker, error) : code;
}

bide_code bide_worker_create_from(struct bide_config *config, const bide_worker_options *options,
    bide_worker **ret_worker, bide_error *error)
{
    struct bide_worker *worker = allocate(config);
    if (!worker)
        return without_memory(config, error);
    bide_code code = bide_config_complete(config, error);
    if (code == BIDE_OK)
        code = apply_options(worker, options, error);
    if (code == BIDE_OK)
        code = bide_handlers_open(config, config->worker.threads, &worker->handlers, error);
    return finish(worker, code, options ? options->exit_idle_ms : 0, ret_worker, error);
}

bide_code bide_worker_assemble(struct bide_config *config, struct bide_handlers *handlers,
    int64_t exit_idle_ms, bide_worker **ret_worker, bide_error *error)
{
    struct bide_worker *worker = allocate(config);
    if (!worker) {
        bide_handlers_close(handlers);
        return without_memory(config, error);
    }
    worker->handlers = *handlers;
    *handlers = (struct bide_handlers){0};
    bide_code code = bide_broker_configure(config, "worker", &worker->broker, error);
    return finish(worker, code, exit_idle_ms, ret_worker, error);
}

void bide_worker_destroy(bide_worker *worker)
{
    if (!worker || worker->abandoned)
        return;
    bide_intake_clear(&worker->intake);
    bide_handlers_close(&worker->handlers);
    bide_configured_store_clear(&worker->store);
    bide_configured_broker_clear(&worker->broker);
    bide_config_destroy(worker->config);
    bide_free(worker);
}

void bide_worker_stop(bide_worker *worker)
{
    bide_intake_stop(&worker->intake);
}

bide_code bide_worker_supervised_by(
    bide_worker *worker, const struct bide_supervised *supervised, bide_error *error)
{
    if (worker->broker.adapter->one_process)
        return bide_fail(error, BIDE_E_CONFIG,
            "%s is for programs that send and receive by themselves: nobody could send to this worker",
            worker->broker.url.redacted);
    bide_intake_supervised_by(&worker->intake, supervised);
    return bide_slot_watch_faults(&supervised->crashes->dying, error);
}

void bide_worker_wait_for_broker(bide_worker *worker)
{
    worker->waits = true;
}

void bide_worker_on_signal(bide_worker *worker, int number)
{
    const struct bide_supervised *supervised = worker->intake.passage.site.supervised;
    if (number == SIGURG) {
        bide_wakeup_signal(&worker->intake.wakeup);
        return;
    }
    bool first = atomic_load(&worker->intake.ending.stops) == 0;
    bool orphan = supervised && getppid() != supervised->supervisor;
    if (first || orphan || number == SIGUSR2)
        bide_worker_stop(worker);
    if (first && number == SIGUSR2) /* the supervisor obeyed two at once, or SIGTERM comes after it */
        bide_worker_stop(worker);
    if (!first)
        bide_wakeup_signal(&worker->intake.wakeup); /* it may not be unhurried any more */
}

bool bide_worker_abandoned(const bide_worker *worker)
{
    return worker->abandoned;
}

static bide_code start_pool(struct bide_worker *worker, bide_error *error)
{
    const struct bide_config *config = worker->config;
    const struct bide_supervised *supervised = worker->intake.passage.site.supervised;
    const struct bide_pool_options options = {
        .threads = (size_t)config->worker.threads,
        .order = config->worker.order,
        .queues = config->queues,
        .n_queues = config->n_queues,
        .handlers = &worker->handlers,
        .wakeup = &worker->intake.wakeup,
        .clock = worker->clock,
        .metrics = supervised ? supervised->metrics : NULL,
        .slots = supervised ? supervised->process->slots : NULL,
        .apart = supervised ? &supervised->crashes->apart : NULL,
    };
    return bide_pool_create(&options, &worker->intake.passage.pool, error);
}

/* Nothing is opened before somebody needs it. */
static bide_code make_clerk(struct bide_worker *worker, bide_error *error)
{
    struct bide_site *site = &worker->intake.passage.site;
    const struct bide_clerk_options options = {
        .store = worker->store.options,
        .broker = &worker->broker,
        .done = &worker->intake.wakeup,
        .metrics = site->supervised ? &site->supervised->metrics->store : NULL,
    };
    site->is_store = !worker->config->store;
    site->marks = worker->store.type && worker->broker.adapter->marks;
    return worker->store.type ? bide_clerk_create(&options, &site->clerk, error) : BIDE_OK;
}

static void end_pool(struct bide_worker *worker)
{
    struct bide_passage *passage = &worker->intake.passage;
    bide_pool_cancel(passage->pool);
    bide_programs_stop(worker->handlers.programs); /* what ran there is the pool's again */
    worker->abandoned = !bide_pool_stop(passage->pool, passage->out > 0 ? 0 : JOIN_MS);
    bide_clerk_stop(passage->site.clerk);
    bide_passage_forget(passage);
    if (!worker->abandoned)
        bide_pool_destroy(passage->pool);
    else
        bide_log(BIDE_LOG_ERROR, "handlers did not return", BIDE_INT("running", passage->out));
}

static void log_start(const struct bide_worker *worker)
{
    bide_log(BIDE_LOG_INFO, "worker started", BIDE_STR("broker", worker->broker.url.redacted),
        BIDE_INT("threads", worker->config->worker.threads), BIDE_INT("queues", worker->config->n_queues),
        BIDE_INT("handlers", worker->config->n_handlers));
}

static void log_end(const struct bide_worker *worker)
{
    const uint64_t *counts = worker->intake.passage.settling.counts;
    bide_log(BIDE_LOG_INFO, "worker stopped", BIDE_INT("done", counts[BIDE_COUNT_DONE]),
        BIDE_INT("retried", counts[BIDE_COUNT_RETRIED]), BIDE_INT("dead", counts[BIDE_COUNT_DEAD]),
        BIDE_INT("expired", counts[BIDE_COUNT_EXPIRED]), BIDE_INT("duplicate", counts[BIDE_COUNT_DUPLICATE]),
        BIDE_INT("released", counts[BIDE_COUNT_RELEASED]));
}

bide_code bide_worker_run(bide_worker *worker, bide_error *error)
{
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    bide_code code = bide_worker_connect(&worker->intake, &worker->broker, worker->waits, error);
    if (code != BIDE_OK ||
        !worker->intake.passage.settling.receiver) /* NULL: told to stop before the broker came */
        return code;
    code = make_clerk(worker, error);
    if (code == BIDE_OK)
        code = start_pool(worker, error);
    if (code == BIDE_OK) {
        log_start(worker);
        code = bide_intake_run(&worker->intake, error);
        end_pool(worker);
        bide_ending_report_hung(&worker->intake.passage);
        log_end(worker);
    }
    bide_clerk_destroy(worker->intake.passage.site.clerk);
    worker->intake.passage.site.clerk = NULL;
    bide_receiver_destroy(worker->intake.passage.settling.receiver);
    worker->intake.passage.settling.receiver = NULL;
    return code;
}
