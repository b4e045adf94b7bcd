/* bide dead list, bide dead show. */
#include "cli/commands/dead.h"

#include <stdio.h>

#include "base/units.h"
#include "base/utf8.h"
#include "broker/report.h"
#include "cli/commands/whole.h"
#include "cli/core/output.h"
#include "message/failures.h"

enum { FLUSH_ROWS = 200, ERROR_COLUMN = 60 };

#define REASON_TEXT(name, text) text,
const char *const bide_cli_dead_reasons[] = {BIDE_REASONS(REASON_TEXT) NULL};

struct bide_dead_filter bide_cli_dead_filter(
    const struct bide_cli_dead_choice *choice, const struct bide_cli *cli)
{
    struct bide_dead_filter filter = {
        .ids = cli->arguments.items, .n_ids = cli->arguments.n, .type = choice->type, .queue = choice->queue};
    int64_t now_ms = bide_wall_ms(bide_clock_system());
    filter.search = choice->search;
    if (choice->since_ms != BIDE_CLI_UNSET)
        filter.died_from_ms = now_ms - choice->since_ms;
    if (choice->until_ms != BIDE_CLI_UNSET)
        filter.died_before_ms = now_ms - choice->until_ms;
    filter.limit = (size_t)choice->limit;
    filter.reason = (enum bide_reason)(choice->reason + 1); /* -1: NONE, any */
    return filter;
}

bool bide_cli_dead_is_chosen(const struct bide_cli_dead_choice *choice)
{
    return choice->type || choice->queue || choice->search || choice->reason >= 0 || choice->limit > 0 ||
           choice->since_ms != BIDE_CLI_UNSET || choice->until_ms != BIDE_CLI_UNSET;
}

/* ---- list ---- */

struct list_values {
    struct bide_cli_dead_choice choice;
};

static const struct bide_cli_option list_options[] = {BIDE_CLI_DEAD_OPTIONS(struct list_values, choice), {0}};

struct listing {
    bool json;
    uint64_t n;
    struct bide_cli_table table;
};

static void add_row(struct listing *listing, const struct bide_dead_letter *letter)
{
    const struct bide_message *message = letter->message;
    char died[BIDE_INSTANT_TEXT], error[ERROR_COLUMN + 1];
    size_t size, cut = 0;
    const char *line = bide_failure_headline(message->error, &size);
    while (cut < size && cut + 4 < sizeof error) {
        size_t length = bide_utf8_length(line + cut, size - cut);
        cut += length ? length : 1;
    }
    snprintf(error, sizeof error, "%.*s", (int)cut, line);
    bide_format_instant(letter->died_ms, died);
    died[19] = '\0'; /* seconds will do for people */
    bide_cli_table_text(&listing->table, message->id);
    bide_cli_table_text(&listing->table, *message->type ? message->type : "-");
    bide_cli_table_text(&listing->table, message->queue);
    bide_cli_table_text(&listing->table, bide_reason_name(letter->reason));
    bide_cli_table_count(&listing->table, message->attempt);
    bide_cli_table_text(&listing->table, died);
    bide_cli_table_text(&listing->table, error);
    if (listing->n % FLUSH_ROWS == 0)
        bide_cli_table_flush(&listing->table);
}

static bool list_one(void *user, const struct bide_dead_letter *letter)
{
    struct listing *listing = user;
    struct bide_buffer line;
    listing->n++;
    if (!listing->json) {
        add_row(listing, letter);
        return true;
    }
    bide_cli_object_begin(&line);
    bide_report_dead(&line, letter);
    bide_cli_object_end(&line);
    return !ferror(stdout);
}

static bide_code list(struct bide_cli *cli, void *given, bide_error *error)
{
    static const char *const columns[] = {
        "ID", "TYPE", "QUEUE", "REASON", ">RUNS", "DIED (UTC)", "ERROR", NULL};
    const struct list_values *values = given;
    struct listing listing = {.json = cli->json};
    struct bide_cli_session session;
    struct bide_admin *admin;
    bide_code code = bide_cli_admin_open(cli, &session, &admin, error);
    if (code != BIDE_OK)
        return code;
    struct bide_dead_filter filter = bide_cli_dead_filter(&values->choice, cli);
    filter.without_bodies = true;
    bide_cli_table_init(&listing.table, columns);
    code = admin->ops->dead_each(admin, &filter, list_one, &listing, error);
    if (!cli->json && code == BIDE_OK && listing.n == 0)
        fputs("No dead letters.\n", stderr);
    bide_cli_table_end(&listing.table);
    bide_admin_destroy(admin);
    bide_cli_session_close(&session);
    return code;
}

const struct bide_cli_command bide_cli_dead_list = {
    .name = "dead list",
    .usage = "[--type TYPE] [--queue QUEUE] [--reason REASON] [--limit N] [options]",
    .examples = "bide dead list --limit 20\nbide dead list --json --reason exhausted | jq -r .id",
    .summary = "Lists dead letters, newest first.",
    .options = list_options,
    .values_size = sizeof(struct list_values),
    .log_level = BIDE_LOG_WARN,
    .run = list,
};

/* ---- show ---- */

void bide_cli_dead_text(struct bide_buffer *to, const struct bide_dead_letter *letter)
{
    bide_cli_whole_text(to, &(bide_found){.message = letter->message,
                                .state = BIDE_STATE_DEAD,
                                .worker = "",
                                .since_ms = letter->died_ms,
                                .reason = bide_reason_name(letter->reason)});
}

static bool show_one(void *user, const struct bide_dead_letter *letter)
{
    struct listing *listing = user;
    struct bide_buffer line;
    listing->n++;
    if (listing->json) {
        bide_cli_object_begin(&line);
        bide_report_dead_whole(&line, letter);
        bide_cli_object_end(&line);
    } else {
        bide_buffer_init(&line);
        if (listing->n > 1)
            bide_buffer_char(&line, '\n');
        bide_cli_dead_text(&line, letter);
        bide_cli_print_line(&line);
        bide_buffer_release(&line);
    }
    return !ferror(stdout);
}

static bide_code show(struct bide_cli *cli, void *values, bide_error *error)
{
    struct listing listing = {.json = cli->json};
    struct bide_cli_session session;
    struct bide_admin *admin;
    (void)values;
    bide_code code = bide_cli_admin_open(cli, &session, &admin, error);
    if (code != BIDE_OK)
        return code;
    const struct bide_dead_filter filter = {.ids = cli->arguments.items, .n_ids = 1};
    code = admin->ops->dead_each(admin, &filter, show_one, &listing, error);
    if (code == BIDE_OK && listing.n == 0)
        code = bide_fail(error, BIDE_E_NOT_FOUND,
            "no dead letter has the id '%.100s': `bide dead list` shows them", cli->arguments.items[0]);
    bide_admin_destroy(admin);
    bide_cli_session_close(&session);
    return code;
}

const struct bide_cli_command bide_cli_dead_show = {
    .name = "dead show",
    .usage = "ID [options]",
    .examples = "bide dead show order-42",
    .summary = "Shows a whole dead letter (every copy of the id).",
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = show,
};
