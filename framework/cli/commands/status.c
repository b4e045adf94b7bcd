/* bide status: how much waits where. */
#include <stdio.h>

#include "base/json.h"
#include "base/units.h"
#include "broker/report.h"
#include "cli/commands/status.h"
#include "cli/core/output.h"
#include "cli/core/session.h"
#include "transactions/census.h"

static void add_transactions(const struct bide_config *config, struct bide_buffer *to)
{
    struct bide_transaction_census census;
    bide_error why;
    bool known = bide_transaction_census_take(config, &census, &why) == BIDE_OK;
    bide_json_open(to, "transactions", '{');
    for (enum bide_open_transactions i = 0; i < BIDE_OPEN_STATES; i++) {
        bide_json_open(to, bide_transaction_census_name(i), '{');
        bide_json_count(to, "open", known ? census.n[i] : BIDE_UNKNOWN_COUNT);
        bide_json_count(to, "oldest_ms", known ? census.oldest_ms[i] : BIDE_UNKNOWN_COUNT);
        bide_buffer_char(to, '}');
    }
    bide_json_text(to, "error", known ? NULL : why.text);
    bide_buffer_char(to, '}');
}

/* stats: NULL, or what the broker says. */
static void print_json(const struct bide_cli_session *session, const struct bide_broker_stats *stats)
{
    struct bide_buffer text;
    bide_cli_object_begin(&text);
    if (stats)
        bide_report_stats(&text, stats, session->broker.url.redacted, session->config->name_space);
    add_transactions(session->config, &text);
    bide_cli_relays_json(session->config, &text);
    bide_cli_object_end(&text);
}

static void print_queues(const struct bide_broker_stats *stats)
{
    static const char *const columns[] = {
        "QUEUE", ">READY", ">DELAYED", ">IN FLIGHT", ">DEAD", ">OLDEST READY", NULL};
    struct bide_cli_table table;
    bide_cli_table_init(&table, columns);
    for (size_t i = 0; i < stats->n_queues; i++) {
        const struct bide_queue_stats *queue = &stats->queues[i];
        bide_cli_table_text(&table, queue->name);
        bide_cli_table_count(&table, queue->ready);
        bide_cli_table_count(&table, queue->delayed);
        bide_cli_table_count(&table, queue->in_flight);
        bide_cli_table_count(&table, queue->dead);
        bide_cli_table_age(&table, queue->oldest_ready_ms);
    }
    bide_cli_table_flush(&table);
    bide_cli_table_release(&table);
}

void bide_cli_print_rungs(const struct bide_broker_stats *stats)
{
    static const char *const columns[] = {"HELD IN", ">FOR", ">MESSAGES", NULL};
    struct bide_cli_table table;
    char text[BIDE_DURATION_TEXT];
    bide_cli_table_init(&table, columns);
    for (size_t i = 0; i < stats->n_rungs; i++) {
        if (stats->rungs[i].messages == 0)
            continue;
        bide_cli_table_text(&table, stats->rungs[i].name);
        bide_cli_table_text(
            &table, stats->rungs[i].ms ? bide_format_duration(stats->rungs[i].ms, text) : "-");
        bide_cli_table_count(&table, stats->rungs[i].messages);
    }
    if (table.n_cells)
        bide_cli_table_flush(&table);
    bide_cli_table_release(&table);
}

static void print_workers(const struct bide_broker_stats *stats)
{
    static const char *const columns[] = {"WORKER", ">IN FLIGHT", ">SEEN AGO", NULL};
    struct bide_cli_table table;
    char text[BIDE_DURATION_TEXT];
    int64_t now_ms = bide_wall_ms(bide_clock_system());
    bide_cli_table_init(&table, columns);
    for (size_t i = 0; i < stats->n_workers; i++) {
        const struct bide_worker_stats *worker = &stats->workers[i];
        int64_t ago_ms = now_ms > worker->seen_ms ? now_ms - worker->seen_ms : 0;
        bide_cli_table_text(&table, worker->name);
        bide_cli_table_count(&table, worker->in_flight);
        bide_cli_table_text(
            &table, worker->seen_ms > 0 ? bide_format_duration(ago_ms / 100 * 100, text) : "-");
    }
    if (stats->n_workers) {
        fputc('\n', stdout);
        bide_cli_table_flush(&table);
    }
    bide_cli_table_release(&table);
}

static void print_unserved(const struct bide_broker_stats *stats)
{
    for (size_t i = 0; i < stats->n_queues; i++)
        if (bide_queue_is_unserved(&stats->queues[i]))
            printf("Nobody takes from %s: no worker serves it, or it is paused (`bide top` shows the workers "
                   "here)\n",
                stats->queues[i].name);
}

static bool has_rungs(const struct bide_broker_stats *stats)
{
    for (size_t i = 0; i < stats->n_rungs; i++)
        if (stats->rungs[i].messages != 0)
            return true;
    return false;
}

static void print_cancelled(const struct bide_broker_stats *stats)
{
    int64_t n = 0;
    for (size_t i = 0; i < stats->n_queues; i++)
        n += stats->queues[i].cancelled > 0 ? stats->queues[i].cancelled : 0;
    if (n > 0)
        printf("Cancelled, ever: %lld\n", (long long)n);
}

static void print_tables(const struct bide_broker_stats *stats)
{
    print_queues(stats);
    if (has_rungs(stats))
        fputc('\n', stdout);
    bide_cli_print_rungs(stats);
    print_workers(stats);
    printf("\nDelayed in all: %lld\n", (long long)stats->delayed_total);
    print_cancelled(stats);
    if (stats->unrouted > 0)
        printf("For queues that do not exist: %lld (`bide dead list --reason unrouted`)\n",
            (long long)stats->unrouted);
    print_unserved(stats);
}

/* Where there are any; `bide transaction list` shows each. */
static void print_transactions(const struct bide_config *config)
{
    struct bide_transaction_census census;
    char age[BIDE_DURATION_TEXT];
    bide_error why;
    if (bide_transaction_census_take(config, &census, &why) != BIDE_OK)
        printf("\nOpen transactions: not known: %s\n", why.text);
    else if (!bide_transaction_census_is_empty(&census))
        for (enum bide_open_transactions i = 0; i < BIDE_OPEN_STATES; i++) {
            fputs(i ? ", " : "\nOpen transactions: ", stdout);
            printf("%lld %s", (long long)census.n[i], bide_transaction_census_name(i));
            if (census.n[i])
                printf(" (for up to %s)", bide_format_duration(bide_cli_coarse_ms(census.oldest_ms[i]), age));
            fputs(i + 1 < BIDE_OPEN_STATES ? "" : "\n", stdout);
        }
}

static void print_all(const struct bide_cli_session *session, const struct bide_broker_stats *stats)
{
    print_tables(stats);
    print_transactions(session->config);
    bide_cli_print_relays(session->config);
}

static bide_code run(struct bide_cli *cli, void *values, bide_error *error)
{
    struct bide_cli_session session;
    struct bide_admin *admin = NULL;
    struct bide_broker_stats stats = {0};
    (void)values;
    bide_code code = bide_cli_session_open(cli, &session, error);
    if (code != BIDE_OK)
        return code;
    code = session.broker.adapter->open_admin(&session.broker.options, &admin, error);
    if (code == BIDE_OK)
        code = admin->ops->stats(admin, &stats, error);
    bool known = code == BIDE_OK;
    if (cli->json && (known || session.config->spool.url)) /* there, what waits for this broker */
        print_json(&session, known ? &stats : NULL);
    else if (known)
        print_all(&session, &stats);
    else if (session.config->spool.url)
        bide_cli_print_relays(session.config);
    bide_broker_stats_clear(&stats);
    bide_admin_destroy(admin);
    bide_cli_session_close(&session);
    return code;
}

const struct bide_cli_command bide_cli_status = {
    .name = "status",
    .usage = "[options]",
    .examples = "bide status\nbide status --json | jq '.queues[] | select(.dead > 0)'",
    .summary = "Shows what is ready, delayed, in flight and dead, per queue, and the workers.",
    .details =
        "OLDEST READY: for how long a message has been due and nobody has taken it (JSON: "
        "oldest_ready_ms, 0 where none is ready).\n"
        "'-' (null in JSON) is what this broker cannot tell per queue.\n"
        "Of each of the configuration's `relays`: what waits in its source, for how long, and what "
        "the target "
        "has refused; with a `spool`, how full it is (also while the broker is away).\n"
        "Open transactions: those that are neither committed nor aborted, and for how long the oldest has "
        "been so (docs/transactions.md).",
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
