/* bide transaction prepare, list, show, commit, abort (docs/transactions.md). */
#include "bide/transaction.h"

#include <stdio.h>

#include "base/units.h"
#include "cli/core/output.h"
#include "cli/core/session.h"
#include "cli/send/send.h"
#include "producer/configured.h"
#include "transactions/transaction.h"

/* ---- reports ---- */

struct listing {
    bool json;
    struct bide_cli_table table;
};

static const char *or_none(const char *text)
{
    return *text ? text : "-";
}

static void add(void *user, const bide_transaction_view *view)
{
    struct listing *listing = user;
    struct bide_buffer line;
    char left[BIDE_DURATION_TEXT] = "-";
    if (listing->json) {
        bide_cli_object_begin(&line);
        bide_transaction_report(&line, view);
        bide_cli_object_end(&line);
        return;
    }
    bide_cli_table_text(&listing->table, view->id);
    bide_cli_table_text(&listing->table, view->state);
    bide_cli_table_text(&listing->table, or_none(view->type));
    bide_cli_table_text(&listing->table, or_none(view->queue));
    bide_cli_table_text(&listing->table, or_none(view->check));
    if (view->left_ms > 0)
        bide_format_duration(view->left_ms, left);
    bide_cli_table_text(&listing->table, view->left_ms < 0 ? "now" : left);
}

static bide_code look(struct bide_cli *cli, void *values, bide_error *error)
{
    static const char *const columns[] = {
        "TRANSACTION", "STATE", "TYPE", "QUEUE", "CHECK", ">ASKED IN", NULL};
    struct listing listing = {.json = cli->json};
    bide_producer *producer;
    (void)values;
    bide_code code = bide_cli_open_producer(cli, &producer, error);
    if (code != BIDE_OK)
        return code;
    bide_cli_table_init(&listing.table, columns);
    code = cli->arguments.n ? bide_transaction_show(producer, cli->arguments.items[0], add, &listing, error)
                            : bide_transaction_list(producer, add, &listing, error);
    if (code == BIDE_OK && !cli->json && listing.table.n_cells == 0)
        fputs("There are no transactions that are neither committed nor aborted (docs/transactions.md).\n",
            stderr);
    bide_cli_table_end(&listing.table);
    bide_producer_close(producer);
    return code;
}

/* ---- deciding ---- */

static void say(const struct bide_cli *cli, const char *id, const char *state)
{
    struct bide_buffer line;
    if (!cli->json) {
        printf("%s is %s\n", id, state);
        return;
    }
    bide_cli_object_begin(&line);
    bide_json_text(&line, "id", id);
    bide_json_text(&line, "state", state);
    bide_cli_object_end(&line);
}

static bide_code decide(struct bide_cli *cli, const char *state,
    bide_code (*call)(bide_producer *producer, const char *id, bide_error *error), bide_error *error)
{
    const char *id = cli->arguments.items[0];
    bide_producer *producer;
    bide_code code = bide_cli_open_producer(cli, &producer, error);
    if (code != BIDE_OK)
        return code;
    code = call(producer, id, error);
    bide_producer_close(producer);
    if (code == BIDE_OK)
        say(cli, id, state);
    return code;
}

static bide_code commit(struct bide_cli *cli, void *values, bide_error *error)
{
    (void)values;
    return decide(cli, "committed", bide_transaction_commit, error);
}

static bide_code abort_it(struct bide_cli *cli, void *values, bide_error *error)
{
    (void)values;
    return decide(cli, "aborted", bide_transaction_abort, error);
}

/* ---- preparing ---- */

struct values {
    const char *check, *id, *queue;
    int64_t delay_ms, deadline_ms, interval_ms, checks;
};

static bide_code fill(const struct bide_cli *cli, const struct values *values,
    const struct bide_config *config, bide_message *message, bide_error *error)
{
    struct bide_buffer body;
    const char *queue =
        values->queue ? values->queue : bide_config_address(config, bide_message_type(message));
    bide_code code = queue ? bide_message_set_queue(message, queue, error) : BIDE_OK;
    if (code == BIDE_OK && values->id)
        code = bide_message_set_id(message, values->id, error);
    if (code == BIDE_OK && values->delay_ms != BIDE_CLI_UNSET)
        code = bide_message_set_delay_ms(message, values->delay_ms, error);
    bide_buffer_init(&body);
    if (code == BIDE_OK && cli->arguments.n > 1)
        code = bide_cli_read_body(cli->arguments.items[1], (size_t)config->worker.max_body, &body, error);
    if (code == BIDE_OK)
        code = bide_message_set_body(message, body.bytes, body.size, error);
    bide_buffer_release(&body);
    return code;
}

/* The call takes 0 for its default; who says 0 here is refused. */
static int64_t given(int64_t ms)
{
    return ms == BIDE_CLI_UNSET ? 0 : ms == 0 ? -1 : ms;
}

static bide_code prepare_one(struct bide_cli *cli, const struct values *values,
    const struct bide_config *config, bide_message *message, bide_error *error)
{
    const bide_transaction_options options = {.check = values->check,
        .check_queue = values->check ? bide_config_address(config, values->check) : NULL,
        .deadline_ms = given(values->deadline_ms),
        .interval_ms = given(values->interval_ms),
        .checks = (int)values->checks};
    bide_producer *producer;
    bide_code code = fill(cli, values, config, message, error);
    if (code == BIDE_OK)
        code = bide_producer_open_configured(config, &producer, error);
    if (code != BIDE_OK)
        return code;
    code = bide_transaction_prepare(producer, message, &options, error);
    bide_producer_close(producer);
    if (code == BIDE_OK)
        say(cli, bide_message_id(message), "prepared");
    return code;
}

static bide_code prepare(struct bide_cli *cli, void *values, bide_error *error)
{
    struct bide_config *config;
    bide_message *message;
    bide_code code = bide_message_create(cli->arguments.items[0], &message, error);
    if (code != BIDE_OK)
        return code;
    code = bide_cli_load(cli, &config, error);
    if (code == BIDE_OK) {
        code = prepare_one(cli, values, config, message, error);
        bide_config_destroy(config);
    }
    bide_message_destroy(message);
    return code;
}

/* ---- the commands ---- */

#define AT(member) .offset = offsetof(struct values, member)

static const struct bide_cli_option prepare_options[] = {
    {"check", BIDE_CLI_TEXT, AT(check), .value = "TYPE",
        .help = "Type of the handler that is asked what became of it."},
    {"id", BIDE_CLI_TEXT, AT(id), .value = "ID",
        .help = "The key of your own transaction, at most 200 bytes (default: a new one)."},
    {"queue", BIDE_CLI_TEXT, AT(queue), .value = "QUEUE",
        .help = "Default: the queue of the type's handler in the configuration, else `default`."},
    {"delay", BIDE_CLI_DURATION, AT(delay_ms), .value = "DURATION", .help = "Counted from the commit."},
    {"deadline", BIDE_CLI_DURATION, AT(deadline_ms), .value = "DURATION",
        .help = "When the handler is asked first (default 60s; at most 7d)."},
    {"interval", BIDE_CLI_DURATION, AT(interval_ms), .value = "DURATION",
        .help = "From one time to the next (default 60s; at most 1d)."},
    {"checks", BIDE_CLI_INT, AT(checks), .value = "N", .fallback = "15", .min = 1, .max = 1000,
        .help = "How often it is asked at most; then the message is a dead letter, `unresolved`."},
    {0},
};

static const struct bide_cli_option no_options[] = {{0}};

const struct bide_cli_command bide_cli_transaction_prepare = {
    .name = "transaction prepare",
    .usage = "TYPE [BODY] --check TYPE [options]",
    .examples = "bide transaction prepare order '{\"order\":42}' --check order-check --id order-42",
    .summary = "Prepares a message: it is sent when its transaction is committed.",
    .details =
        "Prints the id once the broker and the store have it; only then begin your own transaction. BODY is "
        "text, @FILE, or - for standard input.",
    .options = prepare_options,
    .values_size = sizeof(struct values),
    .min_arguments = 1,
    .max_arguments = 2,
    .log_level = BIDE_LOG_WARN,
    .run = prepare,
};

const struct bide_cli_command bide_cli_transaction_list = {
    .name = "transaction list",
    .usage = "[options]",
    .examples =
        "bide transaction list\nbide transaction list --json | jq -r 'select(.state == \"unresolved\").id'",
    .summary = "The transactions that are neither committed nor aborted.",
    .details =
        "STATE: prepared; committing (decided, not sent yet); unresolved (its handler was asked in vain, and "
        "its dead letter waits for you).\nASKED IN: when its handler is asked first; `now`: it is being "
        "asked.",
    .options = no_options,
    .log_level = BIDE_LOG_WARN,
    .run = look,
};

const struct bide_cli_command bide_cli_transaction_show = {
    .name = "transaction show",
    .usage = "ID [options]",
    .examples = "bide transaction show order-42 --json",
    .summary = "What became of a transaction; also `committed` and `aborted`, until it is forgotten.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = look,
};

const struct bide_cli_command bide_cli_transaction_commit = {
    .name = "transaction commit",
    .usage = "ID [options]",
    .examples = "bide transaction commit order-42",
    .summary = "Sends a prepared message.",
    .details =
        "Also one that is unresolved; its dead letter can then be dropped. Repeating it does no harm. Exit "
        "status 65: there is no such\ntransaction, or it has been aborted.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = commit,
};

const struct bide_cli_command bide_cli_transaction_abort = {
    .name = "transaction abort",
    .usage = "ID [options]",
    .examples = "bide transaction abort order-42",
    .summary = "Drops a prepared message.",
    .details =
        "Also one that is unresolved; its dead letter can then be dropped. Repeating it does no harm. Exit "
        "status 65: there is no such\ntransaction, or it has been committed.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = abort_it,
};
