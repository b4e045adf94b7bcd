/* bide explain: how the broker would hold a message. */
#include <stdio.h>

#include "base/units.h"
#include "cli/core/output.h"
#include "cli/core/session.h"

struct values {
    int64_t delay_ms;
};

static const struct bide_cli_option options[] = {
    {"delay", BIDE_CLI_DURATION, offsetof(struct values, delay_ms), .value = "DURATION",
        .help = "How long: 250ms, 1.5s, 10m, 1h30m, 7d; at most 3650d."},
    {0},
};

static void print_json(const struct bide_cli_session *session, int64_t delay_ms, const struct bide_plan *plan)
{
    struct bide_buffer text;
    bide_cli_object_begin(&text);
    bide_json_text(&text, "broker", session->broker.adapter->name);
    bide_json_int(&text, "delay_ms", delay_ms);
    bide_json_text(&text, "method", plan->method);
    bide_json_int(&text, "resolution_ms", plan->resolution_ms);
    bide_json_int(&text, "passes", plan->passes);
    bide_json_name(&text, "hops");
    bide_buffer_char(&text, '[');
    for (size_t i = 0; i < plan->n_hops; i++) {
        bide_json_name(&text, NULL);
        bide_buffer_char(&text, '{');
        bide_json_text(&text, "where", plan->hops[i].where);
        bide_json_int(&text, "ms", plan->hops[i].ms);
        bide_buffer_char(&text, '}');
    }
    bide_buffer_char(&text, ']');
    bide_cli_object_end(&text);
}

static void print_tables(
    const struct bide_cli_session *session, int64_t delay_ms, const struct bide_plan *plan)
{
    static const char *const columns[] = {">HOP", "HELD IN", ">FOR", NULL};
    struct bide_cli_table table;
    char text[BIDE_DURATION_TEXT];
    printf("%s, %s: %s\n", session->broker.adapter->name, bide_format_duration(delay_ms, text), plan->method);
    bide_cli_table_init(&table, columns);
    for (size_t i = 0; i < plan->n_hops; i++) {
        bide_cli_table_count(&table, (int64_t)i + 1);
        bide_cli_table_text(&table, plan->hops[i].where);
        bide_cli_table_text(&table, bide_format_duration(plan->hops[i].ms, text));
    }
    if (plan->n_hops) {
        fputc('\n', stdout);
        bide_cli_table_flush(&table);
        fputc('\n', stdout);
    }
    bide_cli_table_release(&table);
    if (plan->passes > 1)
        printf("Rounds: %d\n", plan->passes);
    printf("Resolution of the holding: %s; the worker's landing does the rest, to the millisecond.\n",
        bide_format_duration(plan->resolution_ms, text));
}

static bide_code run(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct values *values = given;
    struct bide_cli_session session;
    struct bide_plan plan = {0};
    if (values->delay_ms == BIDE_CLI_UNSET)
        return bide_fail(error, BIDE_E_USAGE, "--delay is missing: bide explain --delay 90s");
    bide_code code = bide_cli_session_open(cli, &session, error);
    if (code != BIDE_OK)
        return code;
    code = session.broker.adapter->explain(&session.broker.options, values->delay_ms, &plan, error);
    if (code == BIDE_OK && cli->json)
        print_json(&session, values->delay_ms, &plan);
    else if (code == BIDE_OK)
        print_tables(&session, values->delay_ms, &plan);
    bide_cli_session_close(&session);
    return code;
}

const struct bide_cli_command bide_cli_explain = {
    .name = "explain",
    .usage = "--delay DURATION [options]",
    .examples = "bide explain --delay 36h",
    .summary = "Shows how this broker would hold a message for so long.",
    .options = options,
    .values_size = sizeof(struct values),
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
