/* bide relay: carries messages to a broker, without an end; bide schema: the table that it reads. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "bide/outbox_sqlite.h"
#include "cli/core/session.h"
#include "relay/process.h"

struct values {
    const char *from, *to, *queue;
};

#define AT(member) .offset = offsetof(struct values, member)

static const struct bide_cli_option options[] = {
    {"from", BIDE_CLI_TEXT, AT(from), .value = "URL",
        .help = "Where to take messages from: outbox+sqlite:FILE, or a broker (default: the configuration's "
                "spool)."},
    {"to", BIDE_CLI_TEXT, AT(to), .value = "URL",
        .help = "The broker to bring them to (default: the configuration's)."},
    {"queue", BIDE_CLI_TEXT, AT(queue), .value = "QUEUE", .help = "Of this queue only (default: of all)."},
    {0},
};

static bide_code check_values(const struct values *values, bide_error *error)
{
    if (values->queue && !bide_queue_name_valid(values->queue))
        return bide_fail(
            error, BIDE_E_USAGE, "--queue: '%s' is no queue's name: " BIDE_NAME_RULE, values->queue);
    return BIDE_OK;
}

/* A relative file starts at the working directory, as in --broker. */
static bide_code absolute(struct bide_cli *cli, const char *url, char **ret_url, bide_error *error)
{
    const char *text;
    cli->broker = url;
    bide_buffer_clear(&cli->broker_url);
    bide_code code = bide_cli_broker_override(cli, &text, error);
    if (code != BIDE_OK)
        return code;
    *ret_url = text ? bide_strdup(text) : NULL;
    return BIDE_OK;
}

/* Without --from and --to, the configuration's spool. */
static bide_code take_spool(
    const struct bide_config *config, struct bide_relay_config *what, bide_error *error)
{
    if (what->from)
        return BIDE_OK;
    if (!config->spool.url)
        return bide_fail(error, BIDE_E_USAGE,
            "from where? Give --from outbox+sqlite:FILE, or --from and a broker's URL; without --from and "
            "--to, "
            "the configuration's `spool` is meant (docs/spool.md)");
    what->from = bide_strdup(config->spool.url);
    return what->from ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

/* Loads the configuration with the target as its broker. */
static bide_code prepare(struct bide_cli *cli, const struct values *values, struct bide_relay_config *what,
    struct bide_config **ret_config, bide_error *error)
{
    bide_code code = values->from ? absolute(cli, values->from, &what->from, error) : BIDE_OK;
    if (code == BIDE_OK && (values->from || values->to))
        code = absolute(cli, values->to, &what->to, error);
    if (code == BIDE_OK)
        code = bide_cli_load(cli, ret_config, error);
    if (code == BIDE_OK)
        code = take_spool(*ret_config, what, error);
    if (code == BIDE_OK && !what->to)
        what->to = bide_strdup((*ret_config)->broker);
    if (values->queue)
        what->queue = bide_strdup(values->queue);
    if (code == BIDE_OK && (!what->from || !what->to || !what->queue != !values->queue))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK && strcmp(what->from, what->to) == 0)
        return bide_fail(error, BIDE_E_USAGE, "--from and --to are the same: there is nothing to carry");
    return code;
}

static void print_result(const struct bide_cli *cli, uint64_t carried)
{
    if (cli->json)
        printf("{\"carried\":%" PRIu64 "}\n", carried);
    else
        printf("carried %" PRIu64 " message%s\n", carried, carried == 1 ? "" : "s");
}

static bide_code run(struct bide_cli *cli, void *base, bide_error *error)
{
    const struct values *values = base;
    char name[] = "relay";
    struct bide_relay_config what = {.name = name};
    struct bide_config *config = NULL;
    uint64_t carried = 0;
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    bide_code code = check_values(values, error);
    if (code == BIDE_OK)
        code = prepare(cli, values, &what, &config, error);
    if (code == BIDE_OK)
        code = bide_relay_run(config, &what, NULL, &stops, &carried, error);
    if (code == BIDE_OK)
        print_result(cli, carried);
    bide_config_destroy(config);
    bide_free(what.from);
    bide_free(what.to);
    bide_free(what.queue);
    return code;
}

const struct bide_cli_command bide_cli_relay = {
    .name = "relay",
    .usage = "[--from URL] [--to URL] [--queue QUEUE] [options]",
    .examples = "bide relay --from outbox+sqlite:shop.db --to amqp://user:password@rabbit/shop\n"
                "bide relay --from sqlite:/var/lib/device/bide.db --to redis://hub   # a device's messages\n"
                "bide relay -c /etc/bide/bide.conf   # its spool, on a host without a worker",
    .summary = "Carries messages from an outbox or a broker to a broker, without an end.",
    .details = "outbox+sqlite:FILE is the table bide_outbox of an application's own database "
               "(docs/outbox.md). Ids, due "
               "times,\nattempts and headers stay; a message is removed only after the other broker has "
               "confirmed it. "
               "Ends that are away are\nwaited for. Killed at any moment it loses nothing; at most 500 "
               "messages arrive "
               "twice, with the same ids.\nOne relay carries from a file at a time; another one takes over "
               "as soon as it "
               "ends. A message that the broker refuses for\ngood stays behind: in an outbox with the reason "
               "in its column "
               "`refused`, in a broker as a dead letter.\nSIGTERM or SIGINT ends it. Dead letters are not "
               "carried; `bide move` "
               "carries a whole backlog once, with them.",
    .options = options,
    .values_size = sizeof(struct values),
    .max_arguments = 0,
    .log_level = BIDE_LOG_INFO,
    .run = run,
};

/* ---- bide schema ---- */

static bide_code run_schema(struct bide_cli *cli, void *values, bide_error *error)
{
    (void)values;
    if (strcmp(cli->arguments.items[0], "sqlite") != 0)
        return bide_fail(
            error, BIDE_E_USAGE, "unknown database '%.60s': there is sqlite", cli->arguments.items[0]);
    printf("%s;\n", BIDE_OUTBOX_SQLITE_TABLE);
    return BIDE_OK;
}

const struct bide_cli_command bide_cli_schema = {
    .name = "schema",
    .usage = "sqlite [options]",
    .examples = "bide schema sqlite | sqlite3 shop.db",
    .summary = "Prints the outbox's table, for an application's own database.",
    .details = "docs/outbox.md says what its columns mean.",
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = run_schema,
};
