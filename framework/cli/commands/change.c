/* bide cancel, bide reschedule. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/visible.h"
#include "bide/admin.h"
#include "cli/core/output.h"
#include "cli/core/session.h"
#include "keys/admin.h"

struct values {
    const char *type, *queue, *key;
    bool all;
    int64_t at_ms, delay_ms; /* of reschedule */
};

#define CHOICE                                                                                               \
    {"type", BIDE_CLI_TEXT, offsetof(struct values, type), .value = "TYPE",                                  \
        .help = "With --all: only of this type."},                                                           \
        {"queue", BIDE_CLI_TEXT, offsetof(struct values, queue), .value = "QUEUE",                           \
            .help = "With --all: only of this queue."},                                                      \
        {"key", BIDE_CLI_TEXT, offsetof(struct values, key), .value = "KEY",                                 \
            .help = "The message that waits with this unique key, on every broker."},                        \
    {                                                                                                        \
        "all", BIDE_CLI_FLAG, offsetof(struct values, all),                                                  \
            .help = "Every message that waits and is of --type or --queue, instead of ids."                  \
    }

static const struct bide_cli_option cancel_options[] = {CHOICE, {0}};

static const struct bide_cli_option reschedule_options[] = {
    CHOICE,
    {"at", BIDE_CLI_INSTANT, offsetof(struct values, at_ms), .value = "INSTANT",
        .help = "When it may run: 2026-12-24T18:00:00Z; past: at once."},
    {"delay", BIDE_CLI_DURATION, offsetof(struct values, delay_ms), .value = "DURATION",
        .help = "How long from now: 0s (at once), 90s, 36h; at most 3650d."},
    {0},
};

/* ---- which ---- */

struct ids {
    char **items; /* owned */
    size_t n;
};

static void release_ids(struct ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        bide_free(ids->items[i]);
    bide_free(ids->items);
}

static bide_code add_id(struct ids *ids, const char *id, bide_error *error)
{
    if (strlen(id) > BIDE_ID_MAX)
        return bide_fail(error, BIDE_E_DATA, "an id has at most %d bytes: '%.60s…'", BIDE_ID_MAX, id);
    if ((ids->n & (ids->n - 1)) == 0) { /* the room is a power of two */
        char **grown = bide_realloc(ids->items, (ids->n ? 2 * ids->n : 1) * sizeof *grown);
        if (!grown)
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        ids->items = grown;
    }
    ids->items[ids->n] = bide_strdup(id);
    if (!ids->items[ids->n])
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    ids->n++;
    return BIDE_OK;
}

/* A line each on standard input. */
static bide_code read_ids(struct ids *ids, bide_error *error)
{
    char line[BIDE_ID_MAX + 3]; /* with the end of the line; what is longer is no id, and add_id says so */
    bide_code code = BIDE_OK;
    while (code == BIDE_OK && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line)
            code = add_id(ids, line, error);
    }
    if (code == BIDE_OK && ferror(stdin))
        return bide_fail(error, BIDE_E_DATA, "standard input cannot be read");
    return code;
}

static bide_code take_ids(const struct bide_cli *cli, struct ids *ids, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < cli->arguments.n; i++) {
        const char *id = cli->arguments.items[i];
        code = strcmp(id, "-") == 0 ? read_ids(ids, error) : add_id(ids, id, error);
    }
    return code;
}

static bide_code check_choice(const struct bide_cli *cli, const struct values *values, bide_error *error)
{
    bool narrowed = values->type || values->queue;
    if (values->key && (cli->arguments.n || values->all || narrowed))
        return bide_fail(error, BIDE_E_USAGE, "--key stands alone: no ids, --all, --type or --queue");
    if (values->key)
        return BIDE_OK;
    if (cli->arguments.n && (values->all || narrowed))
        return bide_fail(error, BIDE_E_USAGE, "ids, or --all with --type or --queue: not both");
    if (!cli->arguments.n && !values->all)
        return bide_fail(error, BIDE_E_USAGE,
            narrowed ? "write --all, too: every message that waits and is of this type or queue is meant"
                     : "which? Give ids ('-': a line each on standard input), or --type TYPE --all");
    if (values->all && !narrowed)
        return bide_fail(
            error, BIDE_E_USAGE, "--all needs --type or --queue: it never means all messages there are");
    return BIDE_OK;
}

/* ---- what became of them ---- */

struct account {
    const struct bide_cli *cli;
    bool by_id;
    uint64_t by_fate[BIDE_FATE_RUNNING + 1];
    struct bide_cli_progress progress;
    struct bide_buffer line;
};

static void print_fate(void *user, const char *id, bide_fate fate)
{
    struct account *account = user;
    account->by_fate[fate]++;
    if (!account->by_id)
        return;
    if (account->cli->json) {
        bide_buffer_char(&account->line, '{');
        bide_json_text(&account->line, "id", id);
        bide_json_text(&account->line, "result", bide_fate_name(fate));
        bide_buffer_char(&account->line, '}');
    } else {
        bide_visible_add(&account->line, id, strlen(id), false);
        bide_buffer_format(&account->line, " %s", bide_fate_name(fate));
    }
    bide_cli_print_line(&account->line);
}

static bool show_progress(void *user, uint64_t done, uint64_t total)
{
    struct account *account = user;
    bide_cli_progress_show(&account->progress, done, total);
    return true;
}

static bide_code sum_up(const struct account *account, bide_fate done, size_t n_ids, bide_error *error)
{
    uint64_t changed = account->by_fate[done] + account->by_fate[BIDE_FATE_MARKED];
    uint64_t running = account->by_fate[BIDE_FATE_RUNNING];
    if (account->by_id && changed == n_ids)
        return BIDE_OK;
    if (account->by_id)
        return bide_fail(error, BIDE_E_NOT_FOUND,
            "%" PRIu64 " of %zu not %s: %" PRIu64 " unknown (ended, or never sent), %" PRIu64
            " dead, %" PRIu64 " running",
            n_ids - changed, n_ids, bide_fate_name(done), account->by_fate[BIDE_FATE_UNKNOWN],
            account->by_fate[BIDE_FATE_DEAD], running);
    if (account->cli->json)
        printf("{\"%s\":%" PRIu64 ",\"running\":%" PRIu64 "}\n", bide_fate_name(done), changed, running);
    else
        printf(
            "%" PRIu64 " %s, %" PRIu64 " running and left alone\n", changed, bide_fate_name(done), running);
    return BIDE_OK;
}

static bide_code act(struct account *account, const struct values *values, const struct ids *ids,
    bide_fate done, int64_t due_ms, struct bide_admin *admin, bide_error *error)
{
    const bide_selection selection = {.ids = (const char *const *)ids->items,
        .n_ids = ids->n,
        .type = values->type,
        .queue = values->queue};
    const bide_account telling = {.fate = print_fate, .progress = show_progress, .user = account};
    bide_cli_progress_init(&account->progress, values->all ? bide_fate_name(done) : "looked at");
    bide_code code = done == BIDE_FATE_CANCELLED
                         ? bide_admin_cancel(admin, &selection, &telling, error)
                         : bide_admin_reschedule(admin, &selection, due_ms, &telling, error);
    bide_cli_progress_end(&account->progress);
    return code == BIDE_OK ? sum_up(account, done, ids->n, error) : code;
}

static bide_code change_key(struct account *account, const char *key, bide_fate done, int64_t due_ms,
    struct bide_admin *admin, bide_error *error)
{
    const bide_account telling = {.fate = print_fate, .user = account};
    bide_code code = done == BIDE_FATE_CANCELLED
                         ? bide_admin_cancel_key(admin, key, &telling, error)
                         : bide_admin_reschedule_key(admin, key, due_ms, &telling, error);
    return code == BIDE_OK ? sum_up(account, done, 1, error) : code;
}

static bide_code run(
    struct bide_cli *cli, const struct values *values, bide_fate done, int64_t due_ms, bide_error *error)
{
    struct account account = {.cli = cli, .by_id = !values->all};
    struct bide_cli_session session;
    struct bide_admin *admin;
    struct ids ids = {0};
    bide_code code = check_choice(cli, values, error);
    if (code == BIDE_OK)
        code = take_ids(cli, &ids, error);
    if (code == BIDE_OK && (values->all || values->key || ids.n > 0)) {
        code = bide_cli_admin_open(cli, &session, &admin, error);
        if (code == BIDE_OK) {
            bide_admin_take_store(admin, session.config);
            bide_buffer_init(&account.line);
            code = values->key ? change_key(&account, values->key, done, due_ms, admin, error)
                               : act(&account, values, &ids, done, due_ms, admin, error);
            bide_buffer_release(&account.line);
            bide_admin_close(admin);
            bide_cli_session_close(&session);
        }
    }
    release_ids(&ids);
    return code;
}

static bide_code run_cancel(struct bide_cli *cli, void *values, bide_error *error)
{
    return run(cli, values, BIDE_FATE_CANCELLED, 0, error);
}

static bide_code run_reschedule(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct values *values = given;
    bool at = values->at_ms != BIDE_CLI_UNSET, delayed = values->delay_ms != BIDE_CLI_UNSET;
    if (at == delayed)
        return bide_fail(error, BIDE_E_USAGE, "when? Give --at INSTANT or --delay DURATION, one of the two");
    int64_t due_ms = at ? values->at_ms : bide_wall_ms(bide_clock_system()) + values->delay_ms;
    return run(cli, values, BIDE_FATE_RESCHEDULED, due_ms, error);
}

const struct bide_cli_command bide_cli_cancel = {
    .name = "cancel",
    .usage = "ID… [options]\n- [options]\n--key KEY [options]\n--all [--type TYPE] [--queue QUEUE] [options]",
    .examples = "bide cancel order-42\nbide cancel --type reminder --all\n"
                "bide list delayed --json --type mail | jq -r .id | bide cancel -",
    .summary = "Deletes messages that wait, delayed or ready, for good; counted as cancelled.",
    .details =
        "Prints a line an id: cancelled, marked (RabbitMQ), running (a worker has it; left alone), dead (a "
        "dead "
        "letter; left alone)\nor unknown (it has ended, or never was); exit status 65 unless all were "
        "cancelled. An id "
        "means "
        "every copy of it.\nWith --all it prints how many. There is no question and no way back. An "
        "interruption leaves the rest; run it again.\nOn SQLite the first use by id makes an index of the "
        "ids. "
        "On Redis an id is found by a scan of all that waits:\ngive many ids at once. RabbitMQ cannot search "
        "its queues: there an id is marked in the store, and a worker\nacknowledges the message without a "
        "run "
        "when it lands, if it was delayed; with --key the same.\nThe unique key of what was cancelled is "
        "free; where the store cannot be reached, it stays taken, and "
        "the "
        "command says so and fails.",
    .options = cancel_options,
    .values_size = sizeof(struct values),
    .max_arguments = SIZE_MAX,
    .log_level = BIDE_LOG_WARN,
    .run = run_cancel,
};

const struct bide_cli_command bide_cli_reschedule = {
    .name = "reschedule",
    .usage = "ID… --at INSTANT|--delay D [options]\n- --at INSTANT|--delay D [options]\n"
             "--key KEY --at INSTANT|--delay D [options]\n"
             "--all [--type TYPE] [--queue QUEUE] --at INSTANT|--delay D [options]",
    .examples = "bide reschedule order-42 --delay 0s   # now\n"
                "bide reschedule --type report --all --at 2026-12-24T18:00:00Z",
    .summary = "Gives messages that wait, delayed or ready, another due time.",
    .details =
        "Prints a line an id: rescheduled, running (a worker has it; left alone), dead (a dead letter: `bide "
        "dead retry`) or\nunknown (it has ended, or never was); exit status 65 unless all were rescheduled. "
        "An "
        "id means every copy of it.\nThe attempt stays; an expiry moves along with the due time. Workers "
        "that "
        "wait notice an earlier time at once.\nOn SQLite the first use by id makes an index of the ids. On "
        "Redis an id is found by a scan of all that waits:\ngive many ids at once. RabbitMQ cannot search "
        "its "
        "queues: refused there,\nbut for --key with a later time.",
    .options = reschedule_options,
    .values_size = sizeof(struct values),
    .max_arguments = SIZE_MAX,
    .log_level = BIDE_LOG_WARN,
    .run = run_reschedule,
};
