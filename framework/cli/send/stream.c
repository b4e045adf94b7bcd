/* bide stream list, show, cancel; waiting for one. */
#include "cli/send/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/send/send.h"
#include "streams/manage.h"

enum { SHORTEST_MS = 20, LONGEST_MS = 500, PATIENCE_MS = 60 * 1000 };

/* ---- reports ---- */

void bide_cli_stream_report_init(struct bide_cli_stream_report *report, bool json)
{
    static const char *const columns[] = {
        "STREAM", "NAME", "STATE", "QUEUE", ">LINES", ">DONE", ">DEAD", ">DROPPED", ">SECONDS", NULL};
    report->json = json;
    bide_cli_table_init(&report->table, columns);
}

static void add_part(struct bide_cli_table *table, const bide_stream_view *view, const bide_stream_part *part)
{
    char seconds[32] = "-";
    if (part->took_ms >= 0)
        snprintf(seconds, sizeof seconds, "%" PRId64 ".%" PRId64, part->took_ms / 1000,
            part->took_ms % 1000 / 100);
    bide_cli_table_text(table, view->id);
    bide_cli_table_text(table, *view->name ? view->name : "-");
    bide_cli_table_text(table, view->state);
    bide_cli_table_text(table, part->queue);
    bide_cli_table_count(table, part->total);
    bide_cli_table_count(table, part->done);
    bide_cli_table_count(table, part->dead);
    bide_cli_table_count(table, part->dropped);
    bide_cli_table_text(table, seconds);
}

void bide_cli_stream_report_add(void *user, const bide_stream_view *view)
{
    struct bide_cli_stream_report *report = user;
    struct bide_buffer line;
    if (report->json) {
        bide_cli_object_begin(&line);
        bide_stream_report(&line, view);
        bide_cli_object_end(&line);
        return;
    }
    for (size_t i = 0; i < view->n_parts; i++)
        add_part(&report->table, view, &view->parts[i]);
}

/* ---- waiting ---- */

struct waiting {
    struct bide_cli_stream_report *report;
    struct bide_cli_progress progress;
    int64_t left_ms;
    bool is_over, is_done, failed;
};

static void look(void *user, const bide_stream_view *view)
{
    struct waiting *waiting = user;
    int64_t ended = 0, total = 0;
    waiting->is_over = bide_stream_view_is_over(view);
    waiting->is_done = waiting->is_over;
    waiting->failed = strcmp(view->state, "failed") == 0;
    waiting->left_ms = view->left_ms;
    for (size_t i = 0; i < view->n_parts; i++) {
        const bide_stream_part *part = &view->parts[i];
        ended += part->done + part->dead + part->dropped;
        total += part->total;
        waiting->is_done &= part->done == part->total;
    }
    bide_cli_progress_show(&waiting->progress, (uint64_t)ended, total > 0 ? (uint64_t)total : 0);
    if (waiting->is_over) {
        bide_cli_progress_end(&waiting->progress);
        bide_cli_stream_report_add(waiting->report, view);
    }
}

/* A store that is away for a while is waited for. */
static bool may_come_back(bide_code code, int64_t away_since_ms, int64_t now_ms)
{
    return (code == BIDE_E_BROKER || code == BIDE_E_TIMEOUT) && now_ms - away_since_ms < PATIENCE_MS;
}

bide_code bide_cli_stream_wait(bide_producer *producer, const char *id, struct bide_cli_stream_report *report,
    bool *ret_is_done, bide_error *error)
{
    const struct bide_clock *clock = bide_clock_system();
    struct waiting waiting = {.report = report};
    int64_t pause_ms = SHORTEST_MS, seen_ms = bide_mono_ms(clock);
    bide_cli_progress_init(&waiting.progress, "ended");
    while (!waiting.is_over) {
        bide_code code = bide_stream_show(producer, id, look, &waiting, error);
        if (code != BIDE_OK && !may_come_back(code, seen_ms, bide_mono_ms(clock))) {
            bide_cli_progress_end(&waiting.progress);
            return code;
        }
        if (code == BIDE_OK)
            seen_ms = bide_mono_ms(clock);
        if (!waiting.is_over)
            usleep((useconds_t)pause_ms * 1000);
        pause_ms = pause_ms * 2 < LONGEST_MS ? pause_ms * 2 : LONGEST_MS;
    }
    *ret_is_done = waiting.is_done;
    if (!waiting.failed)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_TIMEOUT,
        "stream %s has failed: its deadline has passed before all members had ended", id);
}

/* ---- list, show, cancel ---- */

static bide_code list(struct bide_cli *cli, void *values, bide_error *error)
{
    struct bide_cli_stream_report report;
    bide_producer *producer;
    (void)values;
    bide_code code = bide_cli_open_producer(cli, &producer, error);
    if (code != BIDE_OK)
        return code;
    bide_cli_stream_report_init(&report, cli->json);
    code = cli->arguments.n ? bide_stream_show(producer, cli->arguments.items[0], bide_cli_stream_report_add,
                                  &report, error)
                            : bide_stream_list(producer, bide_cli_stream_report_add, &report, error);
    if (code == BIDE_OK && !cli->json && report.table.n_cells == 0)
        fputs("There are no streams (docs/streams.md).\n", stderr);
    bide_cli_table_end(&report.table);
    bide_producer_close(producer);
    return code;
}

static bide_code cancel(struct bide_cli *cli, void *values, bide_error *error)
{
    const char *id = cli->arguments.items[0];
    bide_producer *producer;
    (void)values;
    bide_code code = bide_cli_open_producer(cli, &producer, error);
    if (code != BIDE_OK)
        return code;
    code = bide_stream_cancel(producer, id, error);
    bide_producer_close(producer);
    if (code == BIDE_OK && cli->json)
        printf("{\"stream\":\"%s\",\"result\":\"cancelled\"}\n", id);
    else if (code == BIDE_OK)
        printf("%s is cancelled: members that have not begun to run are dropped as workers meet them\n", id);
    return code;
}

static const struct bide_cli_option no_options[] = {{0}};

const struct bide_cli_command bide_cli_stream_list = {
    .name = "stream list",
    .usage = "[options]",
    .examples = "bide stream list\nbide stream list --json | jq -r 'select(.state == \"failed\").stream'",
    .summary = "The streams: how many of their members are done, dead, dropped, for each queue.",
    .details = "STATE: sending; running (all members are sent); complete; failed (at its deadline); "
               "cancelling; cancelled. LINES: members\nin all, once that is known. A stream is forgotten "
               "seven days after its deadline.",
    .options = no_options,
    .log_level = BIDE_LOG_WARN,
    .run = list,
};

const struct bide_cli_command bide_cli_stream_show = {
    .name = "stream show",
    .usage = "STREAM [options]",
    .examples = "bide stream show stream-0193f9c1-7a55-7c3e-9a10-1f2e3d4c5b6a --json",
    .summary = "One stream, as `bide stream list` shows it.",
    .details =
        "Members that were taken out of the broker (`bide cancel` on SQLite and Redis, `bide move`, a "
        "deleted queue) never end:\nthe stream stays `running`, or `cancelling`, until its deadline, and is "
        "`failed` then (docs/streams.md).",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = list,
};

const struct bide_cli_command bide_cli_stream_cancel = {
    .name = "stream cancel",
    .usage = "STREAM [options]",
    .examples = "bide stream cancel stream-0193f9c1-7a55-7c3e-9a10-1f2e3d4c5b6a",
    .summary = "Members of a stream that have not begun to run are dropped.",
    .details = "Workers know of it within a second; what they have in hand already may still run. The stream "
               "is `cancelled` once each member has\nended.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = cancel,
};
