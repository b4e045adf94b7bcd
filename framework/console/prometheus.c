/* GET /metrics: the Prometheus text format, version 0.0.4. Each metric is explained in docs/metrics.md. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "console/prometheus.h"
#include "console/serving.h"
#include "console/totals.h"

enum family {
    MESSAGES,
    DURATION,
    LATENESS,
    WAIT,
    IN_FLIGHT,
    RECEIVED,
    LOST,
    THREADS,
    BUSY,
    LANDING,
    PROCESSES,
    CONNECTED,
    RECONNECTS,
    DEATHS,
    CIRCUIT,
    PROGRAM_PROCESSES,
    PROGRAM_RUNS,
    PROGRAM_RESTARTS,
    PROGRAM_MEMORY,
    SCHEDULE_FIRED,
    SCHEDULE_LATE,
    SCHEDULE_SKIPPED,
    SCHEDULE_MISSED,
    SCHEDULE_NEXT,
    SCHEDULE_LAST,
    SCHEDULE_OVERDUE,
    SCHEDULE_PAUSED,
    LIMIT_ALLOWED,
    LIMIT_MOVED,
    LIMIT_THROTTLED,
    LIMIT_WAIT,
    STORE_OPERATIONS,
    STORE_LETTERS,
    STORE_BATCHES,
    STORE_ERRORS,
    STORE_LATENCY,
    STORE_AWAY,
    PAUSED,
    QUIET,
    SENT,
    DEAD_DROPPED,
    QUEUE,
    TAKERS,
    CANCELLED,
    OLDEST,
    BUILD,
    CPU,
    RESIDENT,
    VIRTUAL,
    FDS,
    START,
};

static const struct {
    const char *name, *kind, *help;
} families[] = {
    [MESSAGES] = {"bide_messages_total", "counter", "Settlements by message type and outcome."},
    [DURATION] = {"bide_handler_duration_seconds", "histogram", "How long runs of a handler took."},
    [LATENESS] = {"bide_message_lateness_seconds", "histogram",
        "Start of a run after the due time, of delayed and retried messages."},
    [WAIT] = {"bide_message_wait_seconds", "histogram",
        "From when a message could have run (taken in and due) to the start of its run."},
    [IN_FLIGHT] = {"bide_messages_in_flight", "gauge", "Messages in the hands of this worker's processes."},
    [RECEIVED] = {"bide_messages_received_total", "counter",
        "Messages the broker handed out to this worker."},
    [LOST] = {"bide_settlements_lost_total", "counter",
        "Settlements the broker did not get: it hands those messages out again."},
    [THREADS] = {"bide_pool_threads", "gauge", "Threads that run handlers."},
    [BUSY] = {"bide_pool_threads_busy", "gauge", "Threads inside a handler."},
    [LANDING] = {"bide_landing_messages", "gauge",
        "Messages taken in a little early that wait for their time."},
    [PROCESSES] = {"bide_worker_processes", "gauge", "Worker processes: wanted, alive, and ready."},
    [CONNECTED] = {"bide_broker_connected", "gauge",
        "1 where all worker processes are connected and consume."},
    [RECONNECTS] = {"bide_broker_reconnects_total", "counter", "Connections to the broker made again."},
    [DEATHS] = {"bide_process_deaths_total", "counter",
        "Worker processes that died: by signal, by an exit with an error, or replaced because of a hung "
        "handler."},
    [CIRCUIT] = {"bide_circuit_state", "gauge", "Circuit breaker of a type: 0 closed, 1 half-open, 2 open."},
    [PROGRAM_PROCESSES] = {"bide_program_processes", "gauge",
        "Processes of a program that serve or finish what they run."},
    [PROGRAM_RUNS] = {"bide_program_runs_total", "counter",
        "Runs in the processes of a program that have ended."},
    [PROGRAM_RESTARTS] = {"bide_program_restarts_total", "counter",
        "Processes of a program that ended without having been told to."},
    [PROGRAM_MEMORY] = {"bide_program_memory_bytes", "gauge",
        "Resident memory of the processes of a program."},
    [SCHEDULE_FIRED] = {"bide_schedule_fired_total", "counter",
        "Slots of a schedule whose message was sent, by any host."},
    [SCHEDULE_LATE] = {"bide_schedule_late_total", "counter",
        "Of these, sent a second or more after the slot."},
    [SCHEDULE_SKIPPED] = {"bide_schedule_skipped_total", "counter",
        "Slots that found the message of an earlier one unfinished (overlap)."},
    [SCHEDULE_MISSED] = {"bide_schedule_missed_total", "counter",
        "Slots that did not fire: after an outage (catch_up), or refused by the broker."},
    [SCHEDULE_NEXT] = {"bide_schedule_next_seconds", "gauge",
        "The next slot that is not sent yet, in Unix seconds."},
    [SCHEDULE_LAST] = {"bide_schedule_last_seconds", "gauge",
        "The last slot that was sent, in Unix seconds; 0: none yet."},
    [SCHEDULE_OVERDUE] = {"bide_schedule_overdue_seconds", "gauge",
        "For how long the next slot has been due and has not fired."},
    [SCHEDULE_PAUSED] = {"bide_schedule_paused", "gauge", "1 for a schedule that is paused."},
    [LIMIT_ALLOWED] = {"bide_limit_allowed_total", "counter", "Runs that a limit has let begin."},
    [LIMIT_MOVED] = {"bide_limit_moved_total", "counter",
        "Messages over a limit that went back to the broker until their time."},
    [LIMIT_THROTTLED] = {"bide_limit_throttled_total", "counter",
        "Runs that were told \"too much\" (429): the key waits."},
    [LIMIT_WAIT] = {"bide_limit_wait_seconds", "histogram",
        "From the first question of a message for a limit to the start of its run."},
    [STORE_OPERATIONS] = {"bide_store_operations_total", "counter", "Operations the store was asked for."},
    [STORE_LETTERS] = {"bide_store_letters_total", "counter", "Letters: the operations for one message."},
    [STORE_BATCHES] = {"bide_store_batches_total", "counter",
        "Batches of letters, each one round trip and one commit."},
    [STORE_ERRORS] = {"bide_store_errors_total", "counter",
        "Calls that the store refused or did not answer."},
    [STORE_LATENCY] = {"bide_store_batch_duration_seconds", "histogram",
        "How long the store took for a batch."},
    [STORE_AWAY] = {"bide_store_away", "gauge",
        "Worker processes that do not reach the store: messages that need it wait."},
    [PAUSED] = {"bide_paused", "gauge", "1 for each queue or type an operator has paused."},
    [QUIET] = {"bide_quiet", "gauge", "1 while the worker takes nothing new on an operator's wish."},
    [SENT] = {"bide_sent_total", "counter", "Messages that POST /send has sent: confirmed by the broker."},
    [DEAD_DROPPED] = {"bide_dead_letters_dropped_total", "counter",
        "Dead letters that were too old or too many (dead.max_age, dead.max_count)."},
    [QUEUE] = {"bide_queue_messages", "gauge", "Messages in the broker, by queue and state."},
    [TAKERS] = {"bide_queue_workers", "gauge", "Workers that take from a queue, of all machines."},
    [CANCELLED] = {"bide_queue_cancelled_total", "counter", "Messages of a queue that were cancelled, ever."},
    [OLDEST] = {"bide_queue_oldest_ready_seconds", "gauge",
        "For how long the oldest ready message of a queue has been due and not taken."},
    [BUILD] = {"bide_build_info", "gauge", "1, with the version as label."},
    [CPU] = {"process_cpu_seconds_total", "counter", "CPU time of all processes of this worker."},
    [RESIDENT] = {"process_resident_memory_bytes", "gauge",
        "Resident memory of all processes of this worker."},
    [VIRTUAL] = {"process_virtual_memory_bytes", "gauge", "Virtual memory of all processes of this worker."},
    [FDS] = {"process_open_fds", "gauge", "Open descriptors of all processes of this worker."},
    [START] = {"process_start_time_seconds", "gauge", "When the supervisor started, in Unix seconds."},
};

static void head(struct bide_buffer *to, enum family family)
{
    bide_prometheus_head(to, families[family].name, families[family].kind, families[family].help);
}

static void integer(struct bide_buffer *to, enum family family, int64_t value)
{
    head(to, family);
    bide_buffer_format(to, "%s %" PRId64 "\n", families[family].name, value);
}

static void seconds(struct bide_buffer *to, enum family family, uint64_t us)
{
    head(to, family);
    bide_buffer_format(to, "%s ", families[family].name);
    bide_prometheus_seconds(to, us);
    bide_buffer_char(to, '\n');
}

static void labelled(
    struct bide_buffer *to, enum family family, const char *name, const char *text, int64_t value)
{
    bide_buffer_text(to, families[family].name);
    bide_prometheus_label(to, name, text);
    bide_buffer_format(to, "} %" PRId64 "\n", value);
}

/* ---- by type ---- */

static void messages(struct bide_buffer *to, const struct bide_totals *totals)
{
    head(to, MESSAGES);
    for (size_t i = 0; i < totals->n_types; i++)
        for (size_t kind = 0; kind < BIDE_COUNTS; kind++) {
            bide_buffer_text(to, families[MESSAGES].name);
            bide_prometheus_label(to, "type", totals->types[i].row->type);
            bide_prometheus_label(to, "outcome", bide_outcome_kind_name((enum bide_outcome_kind)kind));
            bide_buffer_format(to, "} %" PRIu64 "\n", totals->types[i].counts[kind]);
        }
}

static void histograms(struct bide_buffer *to, const struct bide_totals *totals)
{
    static const struct {
        enum family family;
        size_t offset;
    } kinds[] = {{DURATION, offsetof(struct bide_type_total, duration)},
        {LATENESS, offsetof(struct bide_type_total, lateness)},
        {WAIT, offsetof(struct bide_type_total, wait)}};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        head(to, kinds[k].family);
        for (size_t i = 1; i < totals->n_types; i++) { /* row 0 has no runs */
            const void *sum = (const char *)&totals->types[i] + kinds[k].offset;
            bide_prometheus_histogram(
                to, families[kinds[k].family].name, "type", totals->types[i].row->type, sum);
        }
    }
}

static void circuits(struct bide_buffer *to, const struct bide_totals *totals)
{
    head(to, CIRCUIT);
    for (size_t i = 1; i < totals->n_types; i++)
        labelled(to, CIRCUIT, "type", totals->types[i].row->type, totals->types[i].circuit);
}

static void programs(struct bide_buffer *to, const struct bide_shared *shared)
{
    struct bide_program_total totals[BIDE_METRICS_PROGRAMS];
    size_t n = bide_program_totals(shared, totals);
    for (int family = PROGRAM_PROCESSES; n > 0 && family <= PROGRAM_MEMORY; family++) {
        head(to, family);
        for (size_t i = 0; i < n; i++) {
            const int64_t values[] = {
                totals[i].processes, (int64_t)totals[i].runs, (int64_t)totals[i].restarts, totals[i].memory};
            labelled(to, family, "program", totals[i].name, values[family - PROGRAM_PROCESSES]);
        }
    }
}

static void limits(struct bide_buffer *to, const struct bide_totals *totals)
{
    for (int family = LIMIT_ALLOWED; totals->n_limits > 0 && family <= LIMIT_WAIT; family++) {
        head(to, family);
        for (size_t i = 0; i < totals->n_limits; i++) {
            const struct bide_limit_total *limit = &totals->limits[i];
            const uint64_t values[] = {limit->allowed, limit->moved, limit->throttled};
            if (family == LIMIT_WAIT)
                bide_prometheus_histogram(to, families[family].name, "limit", limit->name, &limit->wait);
            else
                labelled(to, family, "limit", limit->name, (int64_t)values[family - LIMIT_ALLOWED]);
        }
    }
}

/* ---- of the worker ---- */

static void deaths(struct bide_buffer *to, const struct bide_deaths *counts)
{
    head(to, DEATHS);
    labelled(to, DEATHS, "cause", "exit", (int64_t)atomic_load(&counts->by_signal[0]));
    labelled(to, DEATHS, "cause", "hung", (int64_t)atomic_load(&counts->hung));
    for (int i = 1; i < BIDE_DEATH_SIGNALS; i++) {
        uint64_t n = atomic_load(&counts->by_signal[i]);
        char name[24];
        if (n == 0 && i != SIGKILL && i != SIGSEGV && i != SIGABRT)
            continue;
        snprintf(name, sizeof name, "SIG%s", sigabbrev_np(i) ? sigabbrev_np(i) : "RT");
        labelled(to, DEATHS, "cause", name, (int64_t)n);
    }
}

static void pauses(struct bide_buffer *to, const struct bide_controls *controls)
{
    char name[BIDE_HANDLER_NAME_MAX + 1];
    integer(to, QUIET, bide_controls_is_quiet(controls));
    head(to, PAUSED);
    for (size_t i = 0; i < BIDE_PAUSED_MAX; i++)
        if (bide_controls_paused_name(controls, i, name))
            labelled(to, PAUSED, "name", name, 1);
}

static void processes(struct bide_buffer *to, const struct bide_totals *totals, int wanted)
{
    head(to, PROCESSES);
    labelled(to, PROCESSES, "state", "wanted", wanted);
    labelled(to, PROCESSES, "state", "alive", totals->processes);
    labelled(to, PROCESSES, "state", "ready", totals->ready);
    integer(to, CONNECTED, totals->processes > 0 && totals->connected == totals->processes);
    integer(to, RECONNECTS, (int64_t)totals->reconnects);
}

static void usage(struct bide_buffer *to, const struct bide_shared *shared)
{
    struct bide_usage taken;
    bide_usage_take(shared, &taken);
    seconds(to, CPU, (uint64_t)(taken.cpu_s * 1e6));
    integer(to, RESIDENT, taken.resident);
    integer(to, VIRTUAL, taken.virtual_size);
    integer(to, FDS, taken.open_fds);
    seconds(to, START, (uint64_t)shared->started_ms * 1000);
}

/* Only once something has asked the store. */
static void store(struct bide_buffer *to, const struct bide_totals *totals)
{
    static const char *const kinds[BIDE_METRICS_STORE_KINDS] = {
        "turn", "arrive", "meter", "acquire", "release", "get", "close"}; /* as enum bide_store_kind */
    if (totals->store.batches == 0 && totals->store.away == 0)
        return;
    head(to, STORE_OPERATIONS);
    for (size_t i = 0; i < BIDE_METRICS_STORE_KINDS; i++)
        labelled(to, STORE_OPERATIONS, "kind", kinds[i], (int64_t)totals->store.operations[i]);
    integer(to, STORE_LETTERS, (int64_t)totals->store.letters);
    integer(to, STORE_BATCHES, (int64_t)totals->store.batches);
    integer(to, STORE_ERRORS, (int64_t)totals->store.errors);
    head(to, STORE_LATENCY);
    bide_prometheus_histogram(to, families[STORE_LATENCY].name, NULL, NULL, &totals->store.latency);
    integer(to, STORE_AWAY, totals->store.away);
}

/* ---- of the store: while it does not answer, as it was ---- */

static void one_schedule(
    struct bide_buffer *to, enum family family, const struct bide_schedule_row *row, int64_t now_ms)
{
    const struct bide_schedule *schedule = &row->schedule;
    const int64_t values[] = {schedule->fired, schedule->late, schedule->skipped, schedule->missed,
        schedule->next_ms / 1000, schedule->last_ms / 1000, bide_schedule_overdue_ms(row, now_ms) / 1000,
        schedule->paused};
    if (bide_schedule_row_is_ours(row) && !(family == SCHEDULE_NEXT && schedule->next_ms == BIDE_NEVER))
        labelled(to, family, "schedule", schedule->is.name, values[family - SCHEDULE_FIRED]);
}

static void schedules(struct bide_buffer *to, struct bide_console *console)
{
    const struct bide_schedule_list *list;
    if (!console->options->config->schedules)
        return;
    (void)bide_schedules_borrow(console, &list, NULL);
    for (int family = SCHEDULE_FIRED; family <= SCHEDULE_PAUSED; family++) {
        head(to, family);
        for (size_t i = 0; i < list->n; i++)
            one_schedule(to, family, &list->rows[i], bide_wall_ms(console->clock));
    }
    bide_schedules_give_back(console);
}

/* ---- of the broker: left out while it does not answer ---- */

static void one_queue(struct bide_buffer *to, const struct bide_queue_stats *queue)
{
    const struct {
        const char *state;
        int64_t n;
    } states[] = {{"ready", queue->ready}, {"delayed", queue->delayed}, {"in_flight", queue->in_flight},
        {"dead", queue->dead}};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (states[i].n == BIDE_UNKNOWN_COUNT)
            continue;
        bide_buffer_text(to, families[QUEUE].name);
        bide_prometheus_label(to, "queue", queue->name);
        bide_prometheus_label(to, "state", states[i].state);
        bide_buffer_format(to, "} %" PRId64 "\n", states[i].n);
    }
}

static void oldest_ready(struct bide_buffer *to, const struct bide_broker_stats *stats)
{
    head(to, OLDEST);
    for (size_t i = 0; i < stats->n_queues; i++) {
        if (stats->queues[i].oldest_ready_ms == BIDE_UNKNOWN_COUNT)
            continue;
        bide_buffer_text(to, families[OLDEST].name);
        bide_prometheus_label(to, "queue", stats->queues[i].name);
        bide_buffer_text(to, "} ");
        bide_prometheus_seconds(to, (uint64_t)stats->queues[i].oldest_ready_ms * 1000);
        bide_buffer_char(to, '\n');
    }
}

/* The broker keeps count: it is the same for all workers, and goes on through their restarts. */
static void cancelled(struct bide_buffer *to, const struct bide_broker_stats *stats)
{
    head(to, CANCELLED);
    for (size_t i = 0; i < stats->n_queues; i++) {
        if (stats->queues[i].cancelled == BIDE_UNKNOWN_COUNT)
            continue;
        bide_buffer_text(to, families[CANCELLED].name);
        bide_prometheus_label(to, "queue", stats->queues[i].name);
        bide_buffer_format(to, "} %" PRId64 "\n", stats->queues[i].cancelled);
    }
}

static void queues(struct bide_buffer *to, struct bide_console *console)
{
    const struct bide_broker_stats *stats;
    if (bide_depths_borrow(console, &stats, NULL) != BIDE_OK)
        return;
    head(to, QUEUE);
    for (size_t i = 0; i < stats->n_queues; i++)
        one_queue(to, &stats->queues[i]);
    head(to, TAKERS);
    for (size_t i = 0; i < stats->n_queues; i++) {
        if (stats->queues[i].workers == BIDE_UNKNOWN_COUNT)
            continue;
        bide_buffer_text(to, families[TAKERS].name);
        bide_prometheus_label(to, "queue", stats->queues[i].name);
        bide_buffer_format(to, "} %" PRId64 "\n", stats->queues[i].workers);
    }
    oldest_ready(to, stats);
    cancelled(to, stats);
    bide_depths_give_back(console);
}

void bide_serve_metrics(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    const struct bide_shared *shared = console->options->shared;
    struct bide_buffer *to = &reply->body;
    struct bide_totals totals;
    bide_error error = {0};
    (void)request;
    bide_code code = bide_totals_take(shared, &totals, &error);
    if (code != BIDE_OK) {
        bide_reply_failure(reply, code, &error);
        return;
    }
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    messages(to, &totals);
    histograms(to, &totals);
    integer(to, IN_FLIGHT, totals.in_flight);
    integer(to, RECEIVED, (int64_t)totals.received);
    integer(to, LOST, (int64_t)totals.lost);
    integer(to, THREADS, totals.threads);
    integer(to, BUSY, totals.busy);
    integer(to, LANDING, totals.landing);
    processes(to, &totals, console->options->config->worker.processes);
    deaths(to, &shared->deaths);
    circuits(to, &totals);
    programs(to, shared);
    limits(to, &totals);
    store(to, &totals);
    pauses(to, &shared->controls);
    integer(to, SENT, (int64_t)atomic_load(&shared->sent));
    integer(to, DEAD_DROPPED, (int64_t)atomic_load(&shared->dead_dropped));
    bide_prometheus_relays(to, console);
    bide_prometheus_spool(to, console->options->config);
    bide_prometheus_transactions(to, console);
    schedules(to, console);
    queues(to, console);
    head(to, BUILD);
    labelled(to, BUILD, "version", BIDE_VERSION, 1);
    usage(to, shared);
    bide_totals_clear(&totals);
}
