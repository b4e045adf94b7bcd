/* bide pause, bide resume: a queue or a type, in the workers of this configuration on this host. */
#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "bide/message.h"
#include "cli/core/live.h"

/* Of a queue or a type, or a handler's, TYPE@SUB@TOPIC. */
static bool is_name(const char *name)
{
    char type[BIDE_NAME_MAX + 1];
    const char *at = strchr(name, '@');
    if (!at || bide_subscription_valid(name))
        return bide_queue_name_valid(name) || bide_name_valid(name);
    size_t size = (size_t)(at - name);
    if (size >= sizeof type)
        return false;
    memcpy(type, name, size);
    type[size] = '\0';
    return bide_name_valid(type) && bide_subscription_valid(at + 1);
}

static bide_code steer(struct bide_cli *cli, const char *action, const char *done, bide_error *error)
{
    struct bide_cli_live live;
    char path[BIDE_HANDLER_NAME_MAX + 32];
    const char *name = cli->arguments.items[0];
    if (!is_name(name))
        return bide_fail(error, BIDE_E_USAGE, "'%.100s' is no name of a queue or a type", name);
    bide_code code = bide_cli_live_open(cli, &live, error);
    if (code != BIDE_OK)
        return code;
    snprintf(path, sizeof path, "/%s/%s", action, name);
    code = bide_cli_live_post(&live, path, error);
    if (code == BIDE_OK && cli->json)
        printf("{\"%s\":\"%s\",\"workers\":%zu}\n", done, name, live.n);
    else if (code == BIDE_OK)
        printf("%s is %s in %zu worker%s\n", name, done, live.n, live.n == 1 ? "" : "s");
    bide_cli_live_close(&live);
    return code;
}

static bide_code pause_it(struct bide_cli *cli, void *values, bide_error *error)
{
    (void)values;
    return steer(cli, "pause", "paused", error);
}

static bide_code resume_it(struct bide_cli *cli, void *values, bide_error *error)
{
    (void)values;
    return steer(cli, "resume", "resumed", error);
}

static const struct bide_cli_option no_options[] = {{0}};

const struct bide_cli_command bide_cli_pause = {
    .name = "pause",
    .usage = "QUEUE|TYPE [options]",
    .examples = "bide pause mail   # while the mail server is mended",
    .summary = "Begins no more messages of a queue or a type.",
    .details =
        "Speaks to all workers of the configuration that run on this host as this user. What runs "
        "finishes; what waits stays in the\nbroker, with its attempts. It holds until `bide resume` or "
        "the end of `bide worker`, also across reloads and crashes.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = pause_it,
};

const struct bide_cli_command bide_cli_resume = {
    .name = "resume",
    .usage = "QUEUE|TYPE [options]",
    .examples = "bide resume mail",
    .summary = "Ends a pause.",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = resume_it,
};
