/* bide limits, bide limits set, bide limits reset. */
#include "limits/manage.h"

#include <stdio.h>

#include "base/units.h"
#include "cli/core/output.h"
#include "cli/core/session.h"
#include "store/configured.h"

struct values {
    const char *rate;
    int64_t concurrency;
};

/* The configuration and its store, opened. */
struct limits_session {
    struct bide_config *config;
    struct bide_configured_store configured;
    struct bide_store *store;
};

static void close_session(struct limits_session *session)
{
    bide_store_destroy(session->store);
    bide_configured_store_clear(&session->configured);
    bide_config_destroy(session->config);
}

static bide_code open_session(struct bide_cli *cli, struct limits_session *session, bide_error *error)
{
    *session = (struct limits_session){0};
    bide_code code = bide_cli_load(cli, &session->config, error);
    if (code == BIDE_OK)
        code = bide_store_configure(session->config, "limits", &session->configured, error);
    if (code == BIDE_OK && session->config->n_limits == 0)
        code = bide_fail(error, BIDE_E_CONFIG, "%s has no `limits`: docs/limits.md says how they are written",
            session->config->path ? session->config->path : "the configuration");
    if (code == BIDE_OK && !session->configured.type)
        code = bide_store_refuse("a limit", error);
    if (code == BIDE_OK)
        code = bide_store_open(&session->configured.options, &session->store, error);
    if (code != BIDE_OK)
        close_session(session);
    return code;
}

/* ---- looking ---- */

struct listing {
    bool json;
    struct bide_cli_table table;
};

static void add_row(void *user, const struct bide_limit_row *row)
{
    struct listing *listing = user;
    struct bide_buffer line;
    char rate[BIDE_RATE_TEXT], wait[BIDE_DURATION_TEXT];
    if (listing->json) {
        bide_cli_object_begin(&line);
        bide_limit_report(&line, row);
        bide_cli_object_end(&line);
        return;
    }
    bide_cli_table_text(&listing->table, row->limit->name);
    bide_cli_table_text(&listing->table, *row->key ? row->key : "-");
    bide_cli_table_text(&listing->table, row->terms.rate.n ? bide_rate_text(&row->terms.rate, rate) : "-");
    bide_cli_table_count(&listing->table, row->terms.concurrency ? row->terms.concurrency : -1);
    bide_cli_table_count(&listing->table, row->in_use);
    bide_cli_table_count(&listing->table, row->waiting);
    bide_cli_table_text(&listing->table, bide_format_duration(row->wait_ms, wait));
    bide_cli_table_text(&listing->table, bide_limit_is_set(row) ? "yes" : "no");
}

static bide_code look(struct bide_cli *cli, void *values, bide_error *error)
{
    static const char *const columns[] = {
        "LIMIT", "KEY", "RATE", ">AT ONCE", ">IN USE", ">WAITING", ">WAIT", "SET", NULL};
    struct limits_session session;
    struct listing listing = {.json = cli->json};
    (void)values;
    bide_code code = open_session(cli, &session, error);
    if (code != BIDE_OK)
        return code;
    bide_cli_table_init(&listing.table, columns);
    code = bide_limits_each(session.store, session.config, cli->arguments.n ? cli->arguments.items[0] : NULL,
        add_row, &listing, error);
    if (code == BIDE_OK && !cli->json)
        bide_cli_table_flush(&listing.table);
    bide_cli_table_release(&listing.table);
    close_session(&session);
    return code;
}

static const struct bide_cli_option no_options[] = {{0}};

const struct bide_cli_command bide_cli_limits = {
    .name = "limits",
    .usage = "[NAME] [options]",
    .examples = "bide limits\nbide limits api --json | jq 'select(.waiting > 0)'",
    .summary = "Shows what is in use of each limit, what waits and for how long.",
    .details = "One line a key of which something waits or has just begun; at most 1000 keys of a limit. AT "
               "ONCE and IN "
               "USE: of a limit\nwith a concurrency. WAIT: how long a message that comes now would wait. "
               "SET: by `bide "
               "limits set`.",
    .options = no_options,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = look,
};

/* ---- setting ---- */

static bide_code change(
    struct bide_cli *cli, const struct bide_rate *rate, int64_t concurrency, bide_error *error)
{
    struct limits_session session;
    const char *name = cli->arguments.items[0];
    bide_code code = open_session(cli, &session, error);
    if (code != BIDE_OK)
        return code;
    code = bide_limits_set(session.store, session.config, name, rate, concurrency, error);
    if (code == BIDE_OK && cli->json)
        printf("{\"limit\":\"%s\",\"set\":true}\n", name);
    else if (code == BIDE_OK)
        printf(
            "%s is set: workers keep it from their next message on, what waits in hand within 30 s\n", name);
    close_session(&session);
    return code;
}

static bide_code set(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct values *values = given;
    struct bide_rate rate = {0};
    if (!values->rate && values->concurrency == 0)
        return bide_fail(error, BIDE_E_USAGE, "give --rate, --concurrency, or both");
    bide_code code = values->rate ? bide_parse_rate(values->rate, &rate.n, &rate.window_ms, error) : BIDE_OK;
    return code == BIDE_OK ? change(cli, &rate, values->concurrency, error) : code;
}

static bide_code reset(struct bide_cli *cli, void *values, bide_error *error)
{
    (void)values;
    return change(cli, &(struct bide_rate){0}, 0, error);
}

static const struct bide_cli_option set_options[] = {
    {"rate", BIDE_CLI_TEXT, offsetof(struct values, rate), .value = "N/TIME",
        .help = "So many runs at most in any time of this length: 50/1s, 100/1m."},
    {"concurrency", BIDE_CLI_INT, offsetof(struct values, concurrency), .value = "N", .fallback = "0",
        .min = 0, .max = BIDE_STORE_HOLDERS_MAX, .help = "So many runs at once at most; 0: as it is."},
    {0},
};

const struct bide_cli_command bide_cli_limits_set = {
    .name = "limits set",
    .usage = "NAME [--rate N/TIME] [--concurrency N] [options]",
    .examples = "bide limits set api --rate 50/1m   # while the other side mends something",
    .summary = "Changes a limit while workers run.",
    .details = "It holds for all workers from their next message on, also after restarts and whatever the "
               "configuration "
               "says, until it\nis set again or `bide limits reset`. Permits that were reserved before are "
               "void: messages "
               "that wait for them ask again\nwhen they come back.",
    .options = set_options,
    .values_size = sizeof(struct values),
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = set,
};

const struct bide_cli_command bide_cli_limits_reset = {
    .name = "limits reset",
    .usage = "NAME [options]",
    .examples = "bide limits reset api",
    .summary = "Lets a limit be what the configuration says again.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = reset,
};
