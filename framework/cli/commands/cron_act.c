/* bide cron add, remove, pause, resume, run. */
#include <stdio.h>

#include "cli/commands/cron.h"
#include "producer/configured.h"

/* What a command does with a schedule; it says what it has done. */
typedef bide_code act(struct bide_cli_cron *cron, const char *name, const void *values, bide_error *error);

static bide_code with_store(struct bide_cli *cli, act *what, const void *values, bide_error *error)
{
    struct bide_cli_cron cron;
    bide_code code = bide_cli_cron_open(cli, &cron, error);
    if (code != BIDE_OK)
        return code;
    code = what(&cron, cli->arguments.items[0], values, error);
    bide_cli_cron_close(&cron);
    return code;
}

static void say(const struct bide_cli *cli, const char *done)
{
    const char *name = cli->arguments.items[0];
    if (cli->json)
        printf("{\"schedule\":\"%s\",\"result\":\"%s\"}\n", name, done);
    else
        printf("%s is %s\n", name, done);
}

/* ---- add ---- */

struct add_values {
    const char *cron, *timezone, *queue;
    int64_t every_ms, jitter_ms;
    int catch_up, overlap;
};

static const char *const catch_ups[] = {"none", "last", "all", NULL};
static const char *const overlaps[] = {"allow", "skip", NULL};

static const struct bide_cli_option add_options[] = {
    {"cron", BIDE_CLI_TEXT, offsetof(struct add_values, cron), .value = "EXPRESSION",
        .help = "When it fires: \"30 2 * * *\", or with seconds in front."},
    {"every", BIDE_CLI_DURATION, offsetof(struct add_values, every_ms), .value = "DURATION", .fallback = "0s",
        .help = "Instead of --cron: every so long; whole seconds."},
    {"timezone", BIDE_CLI_TEXT, offsetof(struct add_values, timezone), .value = "ZONE",
        .help = "Of --cron: \"Europe/Berlin\" (default: UTC)."},
    {"queue", BIDE_CLI_TEXT, offsetof(struct add_values, queue), .value = "QUEUE",
        .help = "Where its messages go (default: the queue of the type's handler, else default)."},
    {"jitter", BIDE_CLI_DURATION, offsetof(struct add_values, jitter_ms), .value = "DURATION",
        .fallback = "0s", .help = "Each message is due up to so long after its slot."},
    {"catch-up", BIDE_CLI_CHOICE, offsetof(struct add_values, catch_up), .value = "WHICH", .fallback = "last",
        .choices = catch_ups, .help = "Which of the slots fire that an outage has missed"},
    {"overlap", BIDE_CLI_CHOICE, offsetof(struct add_values, overlap), .value = "HOW", .fallback = "allow",
        .choices = overlaps,
        .help = "skip: a slot does not fire while the message of an earlier one has not ended"},
    {0},
};

static const char *queue_of(
    const struct bide_config *config, const struct add_values *values, const char *type)
{
    const char *address = bide_config_address(config, type);
    if (values->queue)
        return values->queue;
    return address ? address : "default";
}

static bide_code add(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct add_values *values = given;
    const char *const *arguments = (const char *const *)cli->arguments.items;
    struct bide_cli_cron cron;
    if (!values->cron == !values->every_ms)
        return bide_fail(error, BIDE_E_USAGE, "when? Give --cron or --every, one of the two");
    if (values->every_ms && values->timezone)
        return bide_fail(error, BIDE_E_USAGE, "--every counts from 1970 (UTC) and has no --timezone");
    bide_code code = bide_cli_cron_open(cli, &cron, error);
    if (code != BIDE_OK)
        return code;
    const struct bide_schedule_config added = {.name = (char *)(uintptr_t)arguments[0],
        .cron = (char *)(uintptr_t)values->cron,
        .every_ms = values->every_ms,
        .timezone = (char *)(uintptr_t)(values->timezone ? values->timezone : "UTC"),
        .type = (char *)(uintptr_t)arguments[1],
        .queue = (char *)(uintptr_t)queue_of(cron.config, values, arguments[1]),
        .body = (char *)(uintptr_t)(cli->arguments.n > 2 ? arguments[2] : ""),
        .jitter_ms = values->jitter_ms,
        .catch_up = (enum bide_catch_up)values->catch_up,
        .overlap = (enum bide_overlap)values->overlap};
    if (!cron.config->schedules)
        code = bide_fail(error, BIDE_E_CONFIG,
            "%s: workers of this configuration fire no schedules: add schedules = ( ); and start them again",
            cron.config->path ? cron.config->path : "no configuration");
    if (code == BIDE_OK)
        code = bide_schedule_add(cron.store, &added, cron.now_ms, error);
    bide_cli_cron_close(&cron);
    if (code == BIDE_OK)
        say(cli, "added");
    return code;
}

/* ---- remove, pause, resume ---- */

static bide_code remove_it(
    struct bide_cli_cron *cron, const char *name, const void *values, bide_error *error)
{
    (void)values;
    return bide_schedule_remove(cron->store, cron->config, name, error);
}

static bide_code pause_it(struct bide_cli_cron *cron, const char *name, const void *values, bide_error *error)
{
    (void)values;
    return bide_schedule_pause(cron->store, cron->config, name, true, cron->now_ms, error);
}

static bide_code resume_it(
    struct bide_cli_cron *cron, const char *name, const void *values, bide_error *error)
{
    (void)values;
    return bide_schedule_pause(cron->store, cron->config, name, false, cron->now_ms, error);
}

static bide_code do_and_say(
    struct bide_cli *cli, act *what, const char *done, const void *values, bide_error *error)
{
    bide_code code = with_store(cli, what, values, error);
    if (code == BIDE_OK)
        say(cli, done);
    return code;
}

static bide_code run_remove(struct bide_cli *cli, void *values, bide_error *error)
{
    return do_and_say(cli, remove_it, "removed", values, error);
}

static bide_code run_pause(struct bide_cli *cli, void *values, bide_error *error)
{
    return do_and_say(cli, pause_it, "paused", values, error);
}

static bide_code run_resume(struct bide_cli *cli, void *values, bide_error *error)
{
    return do_and_say(cli, resume_it, "resumed", values, error);
}

/* ---- run ---- */

static bide_code run_now(struct bide_cli_cron *cron, const char *name, const void *cli, bide_error *error)
{
    bide_producer *producer;
    char id[BIDE_ID_MAX + 1];
    bide_code code = bide_producer_open_configured(cron->config, &producer, error);
    if (code != BIDE_OK)
        return code;
    code = bide_schedule_run(cron->store, cron->config, name, cron->now_ms, producer, id, error);
    if (code == BIDE_OK && ((const struct bide_cli *)cli)->json)
        printf("{\"schedule\":\"%s\",\"result\":\"sent\",\"id\":\"%s\"}\n", name, id);
    else if (code == BIDE_OK)
        puts(id);
    bide_producer_close(producer);
    return code;
}

static bide_code run_run(struct bide_cli *cli, void *values, bide_error *error)
{
    (void)values;
    return with_store(cli, run_now, cli, error);
}

/* ---- the rows ---- */

static const struct bide_cli_option no_options[] = {{0}};

const struct bide_cli_command bide_cli_cron_add = {
    .name = "cron add",
    .usage = "NAME TYPE [BODY] --cron EXPRESSION|--every DURATION [options]",
    .examples =
        "bide cron add digest mail '{\"to\":\"all\"}' --cron '0 7 * * mon-fri' --timezone Europe/Berlin\n"
        "bide cron add poll fetch --every 30s --overlap skip",
    .summary = "Adds a schedule that stands in no file; all workers of the namespace fire it.",
    .details =
        "Workers whose configuration has `schedules` (it may be an empty list) notice it within a second. "
        "Its first slot is the\nnext one.",
    .options = add_options,
    .values_size = sizeof(struct add_values),
    .min_arguments = 2,
    .max_arguments = 3,
    .log_level = BIDE_LOG_WARN,
    .run = add,
};

const struct bide_cli_command bide_cli_cron_remove = {
    .name = "cron remove",
    .usage = "NAME [options]",
    .examples = "bide cron remove digest",
    .summary = "Removes a schedule that was added, or that no file declares any more.",
    .details = "One that the configuration declares is refused: remove it there. Messages that were sent "
               "already still run.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = run_remove,
};

const struct bide_cli_command bide_cli_cron_pause = {
    .name = "cron pause",
    .usage = "NAME [options]",
    .examples = "bide cron pause nightly",
    .summary = "Lets no slot of a schedule fire until `bide cron resume`, on any host.",
    .details = "Messages are sent up to 5 s before their slot: those still run.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = run_pause,
};

const struct bide_cli_command bide_cli_cron_resume = {
    .name = "cron resume",
    .usage = "NAME [options]",
    .examples = "bide cron resume nightly",
    .summary = "Lets a schedule go on with its next slot; what it missed while paused does not fire.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = run_resume,
};

const struct bide_cli_command bide_cli_cron_run = {
    .name = "cron run",
    .usage = "NAME [options]",
    .examples = "bide cron run nightly",
    .summary = "Sends the message of a schedule now, beside its slots, and prints its id.",
    .details =
        "Also of a paused one. With overlap = \"skip\" it is refused (exit status 65) while a message of "
        "the schedule waits or runs.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = run_run,
};
