/* bide list, bide show: messages that are not dead; and one, wherever it is. */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "base/visible.h"
#include "broker/report.h"
#include "cli/commands/status.h"
#include "cli/commands/whole.h"
#include "cli/core/output.h"
#include "cli/core/session.h"
#include "keys/admin.h"
#include "keys/errand.h"

enum { FLUSH_ROWS = 200 };

struct values {
    const char *type, *queue, *after;
    int64_t limit;
};

static const struct bide_cli_option list_options[] = {
    {"type", BIDE_CLI_TEXT, offsetof(struct values, type), .value = "TYPE", .help = "Only of this type."},
    {"queue", BIDE_CLI_TEXT, offsetof(struct values, queue), .value = "QUEUE", .help = "Only of this queue."},
    {"limit", BIDE_CLI_INT, offsetof(struct values, limit), .value = "N", .fallback = "0", .min = 0,
        .max = 1000000000, .help = "The first so many; 0: all."},
    {"after", BIDE_CLI_TEXT, offsetof(struct values, after), .value = "CURSOR",
        .help = "Goes on where a listing with --limit ended: it said so on standard error."},
    {0},
};

struct listing {
    bool json;
    uint64_t n, limit;
    struct bide_buffer line;
    struct bide_cli_table table;
};

static void add_row(struct listing *listing, const bide_found *found)
{
    const bide_message *message = found->message;
    char due[BIDE_INSTANT_TEXT];
    const char *type = bide_message_type(message);
    bide_format_instant(bide_message_due_ms(message), due);
    due[19] = '\0'; /* seconds will do for people */
    bide_cli_table_text(&listing->table, bide_message_id(message));
    bide_cli_table_text(&listing->table, *type ? type : "-");
    bide_cli_table_text(&listing->table, bide_message_queue(message));
    bide_cli_table_text(&listing->table, bide_message_state_name(found->state));
    bide_cli_table_text(&listing->table, due);
    bide_cli_table_count(&listing->table, bide_message_attempt(message));
    bide_cli_table_count(&listing->table, (int64_t)found->body_size);
    bide_cli_table_text(&listing->table, *found->worker ? found->worker : "-");
    if (listing->n % FLUSH_ROWS == 0)
        bide_cli_table_flush(&listing->table);
}

static bool list_one(void *user, const bide_found *found)
{
    struct listing *listing = user;
    listing->n++;
    if (listing->json) {
        struct bide_buffer line;
        bide_cli_object_begin(&line);
        bide_report_found(&line, found);
        bide_cli_object_end(&line);
    } else {
        add_row(listing, found);
    }
    return listing->n != listing->limit && !ferror(stdout);
}

static bide_code state_of(const struct bide_cli *cli, unsigned *ret_states, bide_error *error)
{
    const char *name = cli->arguments.n ? cli->arguments.items[0] : NULL;
    *ret_states = 0;
    if (!name)
        return BIDE_OK;
    for (unsigned state = BIDE_STATE_DELAYED; state <= BIDE_STATE_RUNNING; state *= 2)
        if (strcmp(name, bide_message_state_name((bide_message_state)state)) == 0)
            *ret_states = state;
    if (*ret_states)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_USAGE,
        "'%.60s': there are delayed, ready and running messages; `bide dead list` lists dead letters, `bide "
        "show ID` one message",
        name);
}

/* What a broker that cannot search can say about delayed messages. */
static bide_code list_rungs(struct bide_cli *cli, struct bide_admin *admin, bide_error *error)
{
    struct bide_broker_stats stats;
    bide_code code = admin->ops->stats(admin, &stats, error);
    if (code != BIDE_OK)
        return code;
    fputs(
        "RabbitMQ cannot search its queues: these are the numbers of messages on each rung of the ladder.\n",
        stderr);
    for (size_t i = 0; cli->json && i < stats.n_rungs; i++) {
        struct bide_buffer line;
        if (stats.rungs[i].messages == 0)
            continue;
        bide_cli_object_begin(&line);
        bide_json_text(&line, "rung", stats.rungs[i].name);
        bide_json_int(&line, "ms", stats.rungs[i].ms);
        bide_json_count(&line, "messages", stats.rungs[i].messages);
        bide_cli_object_end(&line);
    }
    if (!cli->json)
        bide_cli_print_rungs(&stats);
    bide_broker_stats_clear(&stats);
    return BIDE_OK;
}

static bide_code list_found(struct bide_cli *cli, const struct values *values, struct bide_admin *admin,
    unsigned states, bide_error *error)
{
    static const char *const columns[] = {
        "ID", "TYPE", "QUEUE", "STATE", "DUE (UTC)", ">ATTEMPT", ">BYTES", "WORKER", NULL};
    const bide_selection selection = {
        .type = values->type, .queue = values->queue, .states = states, .without_bodies = true};
    struct listing listing = {.json = cli->json, .limit = (uint64_t)values->limit};
    char cursor[BIDE_CURSOR_SIZE];
    if (values->after && strlen(values->after) >= sizeof cursor)
        return bide_fail(error, BIDE_E_DATA, "--after: this is no cursor");
    snprintf(cursor, sizeof cursor, "%s", values->after ? values->after : "");
    bide_cli_table_init(&listing.table, columns);
    bide_code code = bide_admin_list(admin, &selection, cursor, list_one, &listing, error);
    if (!cli->json && listing.n)
        bide_cli_table_flush(&listing.table);
    if (code == BIDE_OK && *cursor && !ferror(stdout)) {
        fflush(stdout);
        fprintf(stderr, "There may be more: --after '%s'\n", cursor);
    } else if (code == BIDE_OK && !cli->json && listing.n == 0) {
        fputs("No such messages.\n", stderr);
    }
    bide_cli_table_release(&listing.table);
    return code;
}

static bide_code list(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct values *values = given;
    struct bide_cli_session session;
    struct bide_admin *admin;
    unsigned states;
    bide_code code = state_of(cli, &states, error);
    if (code == BIDE_OK)
        code = bide_cli_admin_open(cli, &session, &admin, error);
    if (code != BIDE_OK)
        return code;
    if (!admin->ops->find && states == BIDE_STATE_DELAYED && !values->type && !values->queue)
        code = list_rungs(cli, admin, error);
    else
        code = list_found(cli, values, admin, states, error);
    bide_admin_destroy(admin);
    bide_cli_session_close(&session);
    return code;
}

const struct bide_cli_command bide_cli_list = {
    .name = "list",
    .usage = "[delayed|ready|running] [--type TYPE] [--queue QUEUE] [--limit N] [--after CURSOR] [options]",
    .examples = "bide list delayed --type mail --limit 20\nbide list running\n"
                "bide list delayed --json --type mail | jq -r .id | bide cancel -",
    .summary = "Lists messages that are delayed, ready or running.",
    .details =
        "Queue by queue. What comes, goes or moves while it is listed may be missed; what stays is listed "
        "once.\n"
        "'running' is what a worker has in hand: also what it took up to half a second before it is due.\n"
        "RabbitMQ cannot search its queues: there, `bide list delayed` shows how many messages wait on each "
        "rung of the\nladder, and all else is refused.",
    .options = list_options,
    .values_size = sizeof(struct values),
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = list,
};

/* ---- show ---- */

static bool show_one(void *user, const bide_found *found)
{
    struct listing *listing = user;
    if (listing->json) {
        bide_buffer_char(&listing->line, '{');
        bide_report_found_whole(&listing->line, found);
        bide_buffer_char(&listing->line, '}');
    } else {
        if (listing->n > 0)
            bide_buffer_char(&listing->line, '\n');
        bide_cli_whole_text(&listing->line, found);
    }
    listing->n++;
    bide_cli_print_line(&listing->line);
    return !ferror(stdout);
}

struct show_values {
    const char *key;
};

static const struct bide_cli_option show_options[] = {
    {"key", BIDE_CLI_TEXT, offsetof(struct show_values, key), .value = "KEY",
        .help = "The message that holds this unique key, instead of an id."},
    {0},
};

/* What the store knows. Reserved: of the message before, whose place a sender is about to take. */
static void print_slot(struct listing *listing, const char *key, const struct bide_key_slot *slot)
{
    char due[BIDE_INSTANT_TEXT];
    bide_format_instant(slot->due_ms, due);
    if (listing->json) {
        bide_buffer_char(&listing->line, '{');
        bide_json_text(&listing->line, "unique", key);
        bide_json_text(&listing->line, "id", slot->id);
        bide_json_text(&listing->line, "key_state", bide_key_state_name(slot->state));
        bide_json_int(&listing->line, "due_ms", slot->due_ms);
        bide_buffer_char(&listing->line, '}');
    } else {
        bide_buffer_text(&listing->line, "key        ");
        bide_visible_add(&listing->line, key, strlen(key), false);
        bide_buffer_format(&listing->line, "\nkey state  %s\nid         ", bide_key_state_name(slot->state));
        bide_visible_add(&listing->line, slot->id, strlen(slot->id), false);
        bide_buffer_format(&listing->line, "\ndue        %s", due);
    }
    bide_cli_print_line(&listing->line);
}

static bide_code show_key(
    struct listing *listing, struct bide_admin *admin, const char *key, bide_error *error)
{
    struct bide_key_slot slot;
    bide_code code = bide_key_see(admin->store, key, &slot, error);
    if (code != BIDE_OK)
        return code;
    if (slot.state == BIDE_KEY_FREE)
        return bide_fail(error, BIDE_E_NOT_FOUND, "no message has the unique key '%.200s'", key);
    print_slot(listing, key, &slot);
    return BIDE_OK;
}

static bide_code show(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct show_values *values = given;
    struct listing listing = {.json = cli->json};
    struct bide_cli_session session;
    struct bide_admin *admin;
    if (!values->key == (cli->arguments.n == 0))
        return bide_fail(error, BIDE_E_USAGE, "which? Give an id or --key KEY, one of the two");
    bide_code code = bide_cli_admin_open(cli, &session, &admin, error);
    if (code != BIDE_OK)
        return code;
    bide_admin_take_store(admin, session.config);
    bide_buffer_init(&listing.line);
    code = values->key ? show_key(&listing, admin, values->key, error)
                       : bide_admin_show(admin, cli->arguments.items[0], show_one, &listing, error);
    bide_buffer_release(&listing.line);
    bide_admin_close(admin);
    bide_cli_session_close(&session);
    return code;
}

const struct bide_cli_command bide_cli_show = {
    .name = "show",
    .usage = "ID [options]\n--key KEY [options]",
    .examples = "bide show order-42\nbide show order-42 --json | jq -r .state\nbide show --key report:7",
    .summary = "Shows a message wherever it is: delayed, ready, running or dead (every copy of the id).",
    .details =
        "A message that has ended is unknown: nothing keeps it. On RabbitMQ, which cannot search its "
        "queues, only dead letters\nare found. With --key: the id of the message that has this unique "
        "key, or had it last, when it is due, and the key's\nstate: reserved (a sender is about to send), "
        "waiting, running, ended (taken by nobody, or for a time by --unique-for).",
    .options = show_options,
    .values_size = sizeof(struct show_values),
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = show,
};
