/* bide cron list, bide cron next: schedules, and when they fire. */
#include "cli/commands/cron.h"

#include <stdio.h>

#include "base/units.h"
#include "cli/core/output.h"
#include "schedules/facts.h"

enum { SECONDS_END = 19 }; /* of an instant: people need no milliseconds of slots */

bide_code bide_cli_cron_open(struct bide_cli *cli, struct bide_cli_cron *ret_cron, bide_error *error)
{
    struct bide_cli_cron cron = {.now_ms = bide_wall_ms(bide_clock_system())};
    bide_code code = bide_cli_load(cli, &cron.config, error);
    if (code != BIDE_OK)
        return code;
    *ret_cron = cron;
    code = bide_store_configure(cron.config, "cron", &ret_cron->configured, error);
    if (code == BIDE_OK && !ret_cron->configured.type)
        code = bide_store_refuse("`schedules`", error);
    if (code == BIDE_OK)
        code = bide_store_open(&ret_cron->configured.options, &ret_cron->store, error);
    if (code != BIDE_OK)
        bide_cli_cron_close(ret_cron);
    return code;
}

void bide_cli_cron_close(struct bide_cli_cron *cron)
{
    bide_store_destroy(cron->store);
    bide_configured_store_clear(&cron->configured);
    bide_config_destroy(cron->config);
    cron->store = NULL;
    cron->config = NULL;
}

/* ---- list ---- */

static const char *instant(int64_t ms, char to[BIDE_INSTANT_TEXT])
{
    if (ms <= 0 || ms == BIDE_NEVER)
        return "-";
    bide_format_instant(ms, to);
    to[SECONDS_END] = '\0';
    return to;
}

static const char *state_text(const struct bide_schedule_row *row, int64_t now_ms, char *to, size_t size)
{
    const char *from = row->schedule.added ? ", added" : row->is_declared ? "" : ", another file's";
    snprintf(to, size, "%s%s%s%s", bide_schedule_row_state(row, now_ms), from,
        row->differ ? ", differs on " : "", row->differ ? row->differ : "");
    return to;
}

static void add_row(struct bide_cli_table *table, const struct bide_schedule_row *row, int64_t now_ms)
{
    const struct bide_schedule *schedule = &row->schedule;
    char text[BIDE_INSTANT_TEXT], state[320];
    struct bide_buffer times;
    bide_buffer_init(&times);
    bide_schedule_add_times(&schedule->is, &times);
    bide_cli_table_text(table, schedule->is.name);
    bide_cli_table_text(table, times.bytes);
    bide_cli_table_text(table, schedule->paused ? "-" : instant(schedule->next_ms, text));
    bide_cli_table_text(table, instant(schedule->last_ms, text));
    bide_cli_table_count(table, schedule->fired);
    bide_cli_table_count(table, schedule->late);
    bide_cli_table_count(table, schedule->skipped);
    bide_cli_table_count(table, schedule->missed);
    bide_cli_table_text(table, state_text(row, now_ms, state, sizeof state));
    bide_buffer_release(&times);
}

static void print_table(const struct bide_schedule_list *list, int64_t now_ms)
{
    static const char *const columns[] = {
        "NAME", "TIMES", "NEXT (UTC)", "LAST (UTC)", ">FIRED", ">LATE", ">SKIPPED", ">MISSED", "STATE", NULL};
    struct bide_cli_table table;
    if (list->n == 0) {
        fputs("There are no schedules (docs/schedules.md).\n", stderr);
        return;
    }
    bide_cli_table_init(&table, columns);
    for (size_t i = 0; i < list->n; i++)
        add_row(&table, &list->rows[i], now_ms);
    bide_cli_table_flush(&table);
    bide_cli_table_release(&table);
}

static void print_json(const struct bide_schedule_list *list, int64_t now_ms)
{
    for (size_t i = 0; i < list->n; i++) {
        struct bide_buffer line;
        bide_cli_object_begin(&line);
        bide_schedule_row_report(&list->rows[i], now_ms, &line);
        bide_cli_object_end(&line);
    }
}

static bide_code list(struct bide_cli *cli, void *values, bide_error *error)
{
    struct bide_cli_cron cron;
    struct bide_schedule_list schedules = {0};
    (void)values;
    bide_code code = bide_cli_cron_open(cli, &cron, error);
    if (code != BIDE_OK)
        return code;
    code = bide_schedule_list_take(cron.store, cron.config, cron.now_ms, &schedules, error);
    if (code == BIDE_OK && cli->json)
        print_json(&schedules, cron.now_ms);
    else if (code == BIDE_OK)
        print_table(&schedules, cron.now_ms);
    bide_schedule_list_clear(&schedules);
    bide_cli_cron_close(&cron);
    return code;
}

/* ---- next ---- */

struct next_values {
    int64_t count, after_ms;
};

static const struct bide_cli_option next_options[] = {
    {"count", BIDE_CLI_INT, offsetof(struct next_values, count), .value = "N", .fallback = "5", .min = 1,
        .max = 100000000, .help = "How many slots."},
    {"after", BIDE_CLI_INSTANT, offsetof(struct next_values, after_ms), .value = "INSTANT",
        .help = "Those after 2026-12-24T18:00:00Z (default: after now)."},
    {0},
};

/* "2026-03-29T03:00:00+02:00". */
static void add_local(const struct bide_recurrence *recurrence, int64_t slot_ms, struct bide_buffer *to)
{
    char text[BIDE_INSTANT_TEXT];
    int offset_s = bide_zone_offset(recurrence->zone, slot_ms / 1000);
    int minutes = (offset_s < 0 ? -offset_s : offset_s) / 60;
    bide_format_instant(slot_ms + offset_s * INT64_C(1000), text);
    bide_buffer_format(
        to, "%.*s%c%02d:%02d", SECONDS_END, text, offset_s < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

static void print_slot(const struct bide_cli *cli, const struct bide_recurrence *recurrence, int64_t slot_ms,
    struct bide_buffer *line)
{
    char text[BIDE_INSTANT_TEXT];
    bide_format_instant(slot_ms, text);
    if (cli->json)
        bide_buffer_format(line, "{\"slot_ms\":%lld,\"slot\":\"%s\"}", (long long)slot_ms, text);
    else
        bide_buffer_format(line, "%.*sZ", SECONDS_END, text);
    if (!cli->json && recurrence->zone) {
        bide_buffer_text(line, "  ");
        add_local(recurrence, slot_ms, line);
    }
    bide_cli_print_line(line);
}

static void print_slots(
    const struct bide_cli *cli, const struct next_values *values, const struct bide_recurrence *recurrence)
{
    struct bide_buffer line;
    int64_t slot_ms =
        values->after_ms != BIDE_CLI_UNSET ? values->after_ms : bide_wall_ms(bide_clock_system());
    bide_buffer_init(&line);
    for (int64_t i = 0; i < values->count && !ferror(stdout); i++) {
        slot_ms = bide_recurrence_next(recurrence, slot_ms);
        if (slot_ms == BIDE_NEVER)
            break;
        print_slot(cli, recurrence, slot_ms, &line);
    }
    bide_buffer_release(&line);
}

/* As this host's file declares it, else as the store has it. */
static bide_code find(
    struct bide_cli *cli, const char *name, struct bide_schedule *ret_schedule, bide_error *error)
{
    struct bide_config *config;
    struct bide_cli_cron cron;
    bide_code code = bide_cli_load(cli, &config, error);
    if (code != BIDE_OK)
        return code;
    const struct bide_schedule_config *declared = bide_config_schedule(config, name);
    if (declared) {
        code = bide_schedule_declare(declared, 0, ret_schedule, error);
        ret_schedule->is = (struct bide_schedule_config){0}; /* those texts are the configuration's */
    }
    bide_config_destroy(config);
    if (declared)
        return code;
    code = bide_cli_cron_open(cli, &cron, error);
    if (code != BIDE_OK)
        return code;
    code = bide_name_valid(name) ? bide_schedule_get(cron.store, name, ret_schedule, error)
                                 : bide_fail(error, BIDE_E_NOT_FOUND, "there is no schedule '%.100s'", name);
    bide_cli_cron_close(&cron);
    return code == BIDE_OK ? bide_schedule_check(ret_schedule, error) : code;
}

static bide_code next(struct bide_cli *cli, void *values, bide_error *error)
{
    struct bide_schedule schedule = {0};
    bide_code code = find(cli, cli->arguments.items[0], &schedule, error);
    if (code == BIDE_OK)
        print_slots(cli, values, &schedule.recurrence);
    bide_schedule_clear(&schedule);
    return code;
}

static const struct bide_cli_option no_options[] = {{0}};

const struct bide_cli_command bide_cli_cron_list = {
    .name = "cron list",
    .usage = "[options]",
    .examples = "bide cron list\nbide cron list --json | jq -r 'select(.overdue_ms > 60000).name'",
    .summary = "The schedules: next and last slot, how many fired, were late, skipped, missed.",
    .details =
        "STATE: active; paused; new (no worker has started with it yet); ahead (a host's clock was, and has "
        "moved NEXT too far:\npause and resume it); unusable (its time zone is not on this machine); added "
        "(by "
        "`bide cron add`); another file's (this\nconfiguration does not declare it); differs on HOSTS, whose "
        "files declare it in another way: the latest start or\nSIGHUP decided. Times are UTC.",
    .options = no_options,
    .log_level = BIDE_LOG_WARN,
    .run = list,
};

const struct bide_cli_command bide_cli_cron_next = {
    .name = "cron next",
    .usage = "NAME [--count N] [--after INSTANT] [options]",
    .examples = "bide cron next nightly\nbide cron next nightly --count 2 --after 2026-03-28T00:00:00Z   # "
                "over a change of the clocks",
    .summary = "The next slots of a schedule, as UTC and in its time zone.",
    .details =
        "Of this configuration's file, without asking the store; else of what `bide cron add` has added.",
    .options = next_options,
    .values_size = sizeof(struct next_values),
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = next,
};
