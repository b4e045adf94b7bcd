#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "cli/bench/bench.h"
#include "producer/configured.h"
#include "worker/assemble.h"

enum { IDLE_MS = 10000, BATCH = 1000, PROGRESS_US = 200 * 1000 };

#define TYPE "bench"

/* ---- signals: a handler has no argument ---- */

static _Atomic(bide_worker *) interruptible;
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    bide_worker *worker = atomic_load(&interruptible);
    (void)number;
    interrupted = 1;
    if (worker)
        bide_worker_stop(worker);
}

/* The second of a kind ends the program at once. */
static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool bide_cli_bench_interrupted(void)
{
    return interrupted != 0;
}

/* ---- the handler ---- */

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    struct bide_cli_bench_runs *runs = state;
    const struct bide_clock *clock = bide_clock_system();
    uint64_t number = atomic_fetch_add(&runs->begun, 1);
    int64_t now_us = bide_mono_us(clock), none = 0;
    int64_t wanted_us = bide_message_due_ms(message) * 1000, sent_us = bide_message_sent_ms(message) * 1000;
    if (number == 0)
        atomic_compare_exchange_strong(&runs->first_us, &none, now_us);
    if (number < runs->wanted) /* a message may come twice */
        runs->lateness_us[number] = bide_started_us(context) - (wanted_us > sent_us ? wanted_us : sent_us);
    if (atomic_fetch_add(&runs->ended, 1) + 1 == runs->wanted) {
        atomic_store(&runs->last_us, bide_mono_us(clock));
        bide_worker_stop(runs->worker);
    }
    return BIDE_DONE;
}

static const bide_plugin_descriptor plugin = {BIDE_PLUGIN_HEAD, .name = TYPE, .handle = handle};

/* ---- a configuration of its own ---- */

static void swap(char **a, char **b)
{
    char *kept = *a;
    *a = *b;
    *b = kept;
}

static bide_code add_handler(struct bide_config *config, bide_error *error)
{
    config->handlers = bide_calloc(1, sizeof *config->handlers);
    if (!config->handlers)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    config->n_handlers = 1;
    config->handlers[0].type = bide_strdup(TYPE);
    config->handlers[0].queue = bide_strdup(config->queues[0].name);
    config->handlers[0].retry.attempts = 1;
    return config->handlers[0].type && config->handlers[0].queue
               ? BIDE_OK
               : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

/* The user's broker and worker, but another namespace, one queue and one handler. */
static bide_code adapt(struct bide_config *user, const struct bide_cli_bench_values *values,
    struct bide_config *config, bide_error *error)
{
    bide_free(config->name_space);
    config->name_space = bide_asprintf("%s-bench", user->name_space);
    if (!config->name_space)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (!bide_namespace_valid(config->name_space))
        return bide_fail(error, BIDE_E_CONFIG, "namespace '%s' is too long to be measured: '%s' is none",
            user->name_space, config->name_space);
    swap(&config->broker, &user->broker);
    swap(&config->dir, &user->dir);
    swap(&config->queue_type, &user->queue_type);
    config->ladder_shards = user->ladder_shards;
    config->worker = user->worker;
    if (values->threads != BIDE_CLI_UNSET)
        config->worker.threads = (int)values->threads;
    if (values->body > config->worker.max_body)
        return bide_fail(error, BIDE_E_USAGE, "--body: larger than worker.max_body");
    return add_handler(config, error);
}

static bide_code make_config(struct bide_cli *cli, const struct bide_cli_bench_values *values,
    struct bide_config **ret_config, bide_error *error)
{
    struct bide_config *user, *config = NULL;
    bide_code code = bide_cli_load(cli, &user, error);
    if (code != BIDE_OK)
        return code;
    code = bide_config_default(&config, error);
    if (code == BIDE_OK)
        code = adapt(user, values, config, error);
    bide_config_destroy(user);
    if (code == BIDE_OK)
        *ret_config = config;
    else
        bide_config_destroy(config);
    return code;
}

/* ---- its place in the broker ---- */

static bool holds_something(const struct bide_broker_stats *stats)
{
    bool some = stats->delayed_total > 0 || stats->unrouted > 0;
    for (size_t i = 0; i < stats->n_queues; i++)
        some |= stats->queues[i].ready > 0 || stats->queues[i].dead > 0 || stats->queues[i].in_flight > 0;
    return some;
}

static bide_code clear_place(struct bide_cli_bench *bench, bide_error *error)
{
    struct bide_broker_stats stats;
    const char *name = bench->session.config->name_space;
    bide_code code = bench->admin->ops->stats(bench->admin, &stats, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; code == BIDE_OK && i < stats.n_workers; i++)
        if (stats.workers[i].seen_ms > 0)
            code = bide_fail(error, BIDE_E_USAGE,
                "another bench is at work in namespace '%s' (worker %s): wait for its end", name,
                stats.workers[i].name);
    if (code == BIDE_OK && holds_something(&stats))
        code = bench->admin->ops->erase(bench->admin, error);
    bide_broker_stats_clear(&stats);
    return code;
}

bide_code bide_cli_bench_open(struct bide_cli *cli, const struct bide_cli_bench_values *values,
    struct bide_cli_bench *ret_bench, bide_error *error)
{
    struct bide_config *config;
    *ret_bench = (struct bide_cli_bench){.cli = cli, .values = values};
    bide_code code = make_config(cli, values, &config, error);
    if (code == BIDE_OK)
        code = bide_cli_session_from(cli, config, &ret_bench->session, error);
    if (code != BIDE_OK)
        return code;
    struct bide_cli_bench_runs *runs = &ret_bench->runs;
    ret_bench->threads = config->worker.threads;
    runs->wanted = (uint64_t)values->messages;
    runs->lateness_us = bide_calloc(runs->wanted, sizeof *runs->lateness_us);
    ret_bench->body = bide_calloc(1, (size_t)values->body + 1);
    if (!runs->lateness_us || !ret_bench->body)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    memset(ret_bench->body, 'x', (size_t)values->body);
    catch_signals();
    code = ret_bench->session.broker.adapter->open_admin(
        &ret_bench->session.broker.options, &ret_bench->admin, error);
    if (code == BIDE_OK)
        code = clear_place(ret_bench, error);
    if (code != BIDE_OK) { /* not ours to delete */
        bide_admin_destroy(ret_bench->admin);
        ret_bench->admin = NULL;
        return code;
    }
    return bide_producer_open_configured(config, &ret_bench->producer, error);
}

bide_code bide_cli_bench_close(struct bide_cli_bench *bench, bide_code code, bide_error *error)
{
    bide_error failure;
    bide_code erased = BIDE_OK;
    bide_producer_close(bench->producer);
    if (bench->admin)
        erased = bench->admin->ops->erase(bench->admin, &failure);
    if (erased != BIDE_OK && code == BIDE_OK)
        code = bide_fail(error, erased, "namespace '%s' is still there: %s",
            bench->session.config->name_space, failure.text);
    bide_admin_destroy(bench->admin);
    bide_free(bench->runs.lateness_us);
    bide_free(bench->body);
    if (bench->session.config)
        bide_cli_session_close(&bench->session);
    return code;
}

/* ---- sending ---- */

static bide_code make_message(
    const struct bide_cli_bench *bench, int64_t delay_ms, bide_message **ret_message, bide_error *error)
{
    bide_code code = bide_message_create(TYPE, ret_message, error);
    if (code == BIDE_OK)
        code = bide_message_set_body(*ret_message, bench->body, (size_t)bench->values->body, error);
    if (code == BIDE_OK && delay_ms > 0)
        code = bide_message_set_delay_ms(*ret_message, 1 + random() % delay_ms, error);
    return code;
}

static bide_code send_batch(struct bide_cli_bench *bench, size_t n, int64_t delay_ms, bide_error *error)
{
    bide_message *messages[BATCH] = {NULL};
    bide_sent results[BATCH] = {BIDE_SENT_UNKNOWN};
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        code = make_message(bench, delay_ms, &messages[i], error);
    if (code == BIDE_OK)
        code = bide_producer_send_many(bench->producer, messages, n, results, error);
    for (size_t i = 0; i < n; i++)
        bide_message_destroy(messages[i]);
    return code;
}

bide_code bide_cli_bench_send(struct bide_cli_bench *bench, size_t n, int64_t delay_ms, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t sent = 0; code == BIDE_OK && sent < n;) {
        size_t some = n - sent < BATCH ? n - sent : BATCH;
        code = send_batch(bench, some, delay_ms, error);
        sent += some;
    }
    return code;
}

/* ---- running ---- */

static void *serve(void *user)
{
    struct bide_cli_bench *bench = user;
    bench->worker_code = bide_worker_run(bench->worker, &bench->worker_error);
    return NULL;
}

bide_code bide_cli_bench_start(struct bide_cli_bench *bench, bide_error *error)
{
    struct bide_handlers handlers;
    struct bide_config *config;
    bide_code code = make_config(bench->cli, bench->values, &config, error);
    if (code != BIDE_OK)
        return code;
    code = bide_handlers_builtin(config, &plugin, &bench->runs, &handlers, error);
    if (code != BIDE_OK) {
        bide_config_destroy(config);
        return code;
    }
    int64_t idle_ms = IDLE_MS + bench->values->delay_ms;
    code = bide_worker_assemble(config, &handlers, idle_ms, &bench->worker, error);
    if (code != BIDE_OK)
        return code;
    bench->runs.worker = bench->worker;
    atomic_store(&interruptible, bench->worker);
    if (interrupted) /* just before */
        bide_worker_stop(bench->worker);
    if (pthread_create(&bench->thread, NULL, serve, bench) == 0)
        return BIDE_OK;
    atomic_store(&interruptible, NULL);
    bide_worker_destroy(bench->worker);
    bench->worker = NULL;
    return bide_fail(error, BIDE_E_INTERNAL, "cannot start a thread");
}

static void join_with_progress(struct bide_cli_bench *bench)
{
    struct timespec until;
    do {
        int64_t then_us = bide_mono_us(bide_clock_system()) + PROGRESS_US;
        until = (struct timespec){.tv_sec = then_us / 1000000, .tv_nsec = then_us % 1000000 * 1000};
        bide_cli_progress_show(&bench->progress, atomic_load(&bench->runs.ended), bench->runs.wanted);
    } while (pthread_clockjoin_np(bench->thread, NULL, CLOCK_MONOTONIC, &until) != 0);
    bide_cli_progress_end(&bench->progress);
}

bide_code bide_cli_bench_wait(struct bide_cli_bench *bench, bide_error *error)
{
    bide_cli_progress_init(&bench->progress, "ran");
    join_with_progress(bench);
    atomic_store(&interruptible, NULL);
    bide_worker_destroy(bench->worker);
    bench->worker = NULL;
    if (bench->worker_code != BIDE_OK)
        return bide_fail(error, bench->worker_code, "%s", bench->worker_error.text);
    uint64_t ended = atomic_load(&bench->runs.ended);
    if (ended < bench->runs.wanted && !interrupted)
        return bide_fail(error, BIDE_E_BROKER, "only %llu of %llu messages came back",
            (unsigned long long)ended, (unsigned long long)bench->runs.wanted);
    return BIDE_OK;
}
