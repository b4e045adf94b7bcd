/* GET /healthz, /readyz, /status, /history. */
#include <stdio.h>

#include "base/json.h"
#include "broker/report.h"
#include "console/serving.h"
#include "console/totals.h"

/* ---- health ---- */

static void answer_text(struct bide_reply *reply, unsigned status, const char *text)
{
    reply->status = status;
    reply->type = "text/plain; charset=utf-8";
    bide_buffer_text(&reply->body, text);
}

void bide_serve_health(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    (void)console;
    (void)request;
    answer_text(reply, 200, "alive\n");
}

void bide_serve_ready(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    const struct bide_shared *shared = console->options->shared;
    struct bide_totals totals;
    char text[120];
    (void)request;
    if (bide_totals_take(shared, &totals, NULL) != BIDE_OK) {
        answer_text(reply, 503, "out of memory\n");
        return;
    }
    int wanted = console->options->config->worker.processes;
    bool quiet = bide_controls_is_quiet(&shared->controls);
    bool ready = totals.ready >= wanted && !quiet;
    snprintf(text, sizeof text, "%s: %d of %d worker processes are connected and consume%s\n",
        ready ? "ready" : "not ready", totals.ready, wanted, quiet ? "; quiet" : "");
    bide_totals_clear(&totals);
    answer_text(reply, ready ? 200 : 503, text);
}

/* ---- status ---- */

static const char *const process_states[] = {"none", "starting", "serving", "draining"};
static const char *const circuit_states[] = {"closed", "half-open", "open"};

static void add_processes(struct bide_buffer *to, const struct bide_shared *shared)
{
    bool quiet = bide_controls_is_quiet(&shared->controls);
    bide_json_open(to, "processes", '[');
    for (size_t i = 0; i < shared->n_places; i++) {
        const struct bide_metrics *metrics = &shared->places[i];
        int pid = atomic_load(&metrics->pid), state = atomic_load(&metrics->state);
        if (pid == 0)
            continue;
        bide_json_open(to, NULL, '{');
        bide_json_int(to, "pid", pid);
        bide_json_text(to, "state", quiet && state == BIDE_PROCESS_SERVING ? "quiet" : process_states[state]);
        bide_json_bool(to, "connected", atomic_load(&metrics->connected) != 0);
        bide_json_int(to, "started_ms", atomic_load(&metrics->started_ms));
        bide_json_int(to, "busy", atomic_load(&metrics->busy));
        bide_json_int(to, "threads", atomic_load(&metrics->threads));
        bide_json_int(to, "in_flight", atomic_load(&metrics->in_flight));
        bide_json_int(to, "landing", atomic_load(&metrics->landing));
        bide_buffer_char(to, '}');
    }
    bide_buffer_char(to, ']');
}

static void add_paused(struct bide_buffer *to, const struct bide_controls *controls)
{
    char name[BIDE_HANDLER_NAME_MAX + 1];
    bide_json_open(to, "paused", '[');
    for (size_t i = 0; i < BIDE_PAUSED_MAX; i++)
        if (bide_controls_paused_name(controls, i, name))
            bide_json_text(to, NULL, name);
    bide_buffer_char(to, ']');
}

static void add_quantile(
    struct bide_buffer *to, const char *name, const struct bide_histogram_sum *sum, double q)
{
    double us = bide_histogram_quantile_us(sum, q);
    if (us < 0)
        bide_json_text(to, name, NULL);
    else
        bide_json_number(to, name, us / 1000);
}

static void add_counts(struct bide_buffer *to, const struct bide_type_total *total)
{
    for (size_t kind = 0; kind < BIDE_COUNTS; kind++)
        bide_json_int(to, bide_outcome_kind_name((enum bide_outcome_kind)kind), (int64_t)total->counts[kind]);
}

static void add_handler(struct bide_buffer *to, const struct bide_config *config,
    const struct bide_type_total *total, const struct bide_type_total *recent)
{
    const struct bide_handler_config *handler = bide_config_handler_named(config, total->row->type);
    bide_json_open(to, NULL, '{');
    bide_json_text(to, "type", total->row->type);
    bide_json_text(to, "plugin", total->row->plugin);
    bide_json_text(to, "version", *total->row->version ? total->row->version : NULL);
    bide_json_text(to, "build", *total->row->build ? total->row->build : NULL);
    bide_json_text(to, "queue", handler ? handler->queue : NULL);
    add_counts(to, total);
    bide_json_int(to, "running", total->running);
    bide_json_text(to, "circuit", circuit_states[total->circuit]);
    add_quantile(to, "p50_ms", &recent->duration, 0.5);
    add_quantile(to, "p99_ms", &recent->duration, 0.99);
    add_quantile(to, "lateness_p99_ms", &recent->lateness, 0.99);
    bide_json_open(to, "recent", '{');
    add_counts(to, recent);
    bide_buffer_char(to, '}');
    bide_buffer_char(to, '}');
}

static void add_relay(struct bide_buffer *to, struct bide_console *console, size_t i)
{
    const struct bide_relay_metrics *relay = &console->options->shared->relays[i];
    int64_t since_ms = atomic_load(&relay->oldest_ms), now_ms = bide_wall_ms(console->clock);
    bool source_away = atomic_load(&relay->source_away), target_away = atomic_load(&relay->target_away);
    struct bide_histogram_sum lag = {0};
    bide_histogram_read(&relay->lag, &lag);
    bide_json_open(to, NULL, '{');
    bide_json_text(to, "name", console->options->config->relays[i].name);
    bide_json_text(to, "state",
        source_away                   ? "source away"
        : target_away                 ? "target away"
        : atomic_load(&relay->active) ? "carries"
                                      : "waits");
    bide_json_int(to, "carried", (int64_t)atomic_load(&relay->carried));
    bide_json_int(to, "refused", (int64_t)atomic_load(&relay->refused));
    bide_json_int(to, "oldest_ms", since_ms > 0 && now_ms > since_ms ? now_ms - since_ms : 0);
    add_quantile(to, "lag_p99_ms", &lag, 0.99);
    bide_buffer_char(to, '}');
}

static void add_relays(struct bide_buffer *to, struct bide_console *console)
{
    bide_json_open(to, "relays", '[');
    for (size_t i = 0; i < console->options->config->n_relays; i++)
        add_relay(to, console, i);
    bide_buffer_char(to, ']');
}

static void add_programs(struct bide_buffer *to, const struct bide_shared *shared)
{
    struct bide_program_total totals[BIDE_METRICS_PROGRAMS];
    size_t n = bide_program_totals(shared, totals);
    bide_json_open(to, "programs", '[');
    for (size_t i = 0; i < n; i++) {
        bide_json_open(to, NULL, '{');
        bide_json_text(to, "name", totals[i].name);
        bide_json_int(to, "processes", totals[i].processes);
        bide_json_int(to, "runs", (int64_t)totals[i].runs);
        bide_json_int(to, "restarts", (int64_t)totals[i].restarts);
        bide_json_int(to, "memory", totals[i].memory);
        bide_buffer_char(to, '}');
    }
    bide_buffer_char(to, ']');
}

static void add_worker(struct bide_buffer *to, struct bide_console *console, const struct bide_totals *totals,
    struct bide_totals *recent)
{
    const struct bide_shared *shared = console->options->shared;
    bide_json_open(to, "worker", '{');
    bide_json_int(to, "pid", shared->supervisor);
    bide_json_int(to, "started_ms", shared->started_ms);
    bide_json_int(to, "uptime_s", (bide_wall_ms(console->clock) - shared->started_ms) / 1000);
    bide_json_int(to, "limits", (int64_t)console->options->config->n_limits);
    bide_json_bool(to, "schedules", console->options->config->schedules != NULL);
    bide_json_text(to, "bide", BIDE_VERSION);
    add_processes(to, shared);
    bide_json_bool(to, "quiet", bide_controls_is_quiet(&shared->controls));
    add_paused(to, &shared->controls);
    bide_json_int(
        to, "recent_s", bide_recent_reduce(&console->recent, recent, bide_mono_ms(console->clock)) / 1000);
    bide_json_open(to, "handlers", '[');
    for (size_t i = 1; i < totals->n_types; i++)
        add_handler(to, console->options->config, &totals->types[i], &recent->types[i]);
    bide_buffer_char(to, ']');
    add_programs(to, shared);
    add_relays(to, console);
    bide_json_text(to, "config", console->options->config->path);
    bide_buffer_char(to, '}');
}

/* Adds what the broker says. If it does not answer, adds what is known without it, and `broker_error`. */
static void add_broker(struct bide_buffer *to, struct bide_console *console)
{
    static const struct bide_broker_stats nothing = {
        .delayed_total = BIDE_UNKNOWN_COUNT, .unrouted = BIDE_UNKNOWN_COUNT};
    const struct bide_console_options *options = console->options;
    const struct bide_broker_stats *stats;
    bide_error error = {0};
    bide_code code = bide_depths_borrow(console, &stats, &error);
    bide_report_stats(
        to, code == BIDE_OK ? stats : &nothing, options->broker->url->redacted, options->config->name_space);
    if (code == BIDE_OK)
        bide_depths_give_back(console);
    else
        bide_json_text(to, "broker_error", error.text);
}

void bide_serve_status(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    struct bide_totals totals = {0}, recent = {0};
    bide_error error = {0};
    (void)request;
    bide_code code = bide_totals_take(console->options->shared, &totals, &error);
    if (code == BIDE_OK)
        code = bide_totals_copy(&totals, &recent, &error);
    if (code == BIDE_OK) {
        bide_buffer_char(&reply->body, '{');
        add_broker(&reply->body, console);
        add_worker(&reply->body, console, &totals, &recent);
        bide_buffer_char(&reply->body, '}');
    } else {
        bide_reply_failure(reply, code, &error);
    }
    bide_totals_clear(&recent);
    bide_totals_clear(&totals);
}

void bide_serve_history(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    (void)request;
    atomic_store(&console->history.asked_ms, bide_mono_ms(console->clock));
    bide_buffer_char(&reply->body, '{');
    bide_history_json(&console->history, &reply->body);
    bide_buffer_char(&reply->body, '}');
}
