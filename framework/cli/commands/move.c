/* bide move: a backlog from one broker to another. */
#include "cli/commands/move.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/core/output.h"

struct values {
    const char *from, *to, *queue;
};

#define AT(member) .offset = offsetof(struct values, member)

static const struct bide_cli_option options[] = {
    {"from", BIDE_CLI_TEXT, AT(from), .value = "URL", .help = "The broker to take messages from."},
    {"to", BIDE_CLI_TEXT, AT(to), .value = "URL", .help = "The broker to bring them to."},
    {"queue", BIDE_CLI_TEXT, AT(queue), .value = "QUEUE", .help = "Of this queue only (default: of all)."},
    {0},
};

/* Both ends, open as far as they are not NULL. */
struct ends {
    struct bide_cli_session from, to;
    struct bide_admin *from_admin, *to_admin;
    struct bide_sender *sender;
    struct bide_cli_names queues; /* all that either end has to know */
    struct bide_cli_names
        joined; /* the subscriptions of topics; from a broker that cannot list them: queues */
};

static bide_code check_values(const struct values *values, bide_error *error)
{
    if (!values->from || !values->to)
        return bide_fail(error, BIDE_E_USAGE, "which way? Give --from URL and --to URL");
    if (values->queue && !bide_queue_name_valid(values->queue))
        return bide_fail(
            error, BIDE_E_USAGE, "--queue: '%s' is no queue's name: " BIDE_NAME_RULE, values->queue);
    return BIDE_OK;
}

/* ---- opening both ends ---- */

static bide_code open_end(
    struct bide_cli *cli, const char *url, struct bide_cli_session *ret_session, bide_error *error)
{
    cli->broker = url;
    bide_buffer_clear(&cli->broker_url);
    return bide_cli_session_open(cli, ret_session, error);
}

static bide_code open_sessions(
    struct bide_cli *cli, const struct values *values, struct ends *ends, bide_error *error)
{
    bide_code code = open_end(cli, values->from, &ends->from, error);
    if (code == BIDE_OK)
        code = open_end(cli, values->to, &ends->to, error);
    for (size_t i = 0; code == BIDE_OK && i < ends->from.config->n_queues; i++)
        code = bide_cli_names_add(&ends->queues, ends->from.config->queues[i].name, error);
    if (code == BIDE_OK && values->queue)
        code = bide_cli_names_add(&ends->queues, values->queue, error);
    return code;
}

static void know_queues(struct bide_cli_session *session, const struct bide_cli_names *queues)
{
    session->broker.options.queues = (const char *const *)queues->items;
    session->broker.options.n_queues = queues->n;
}

static void warn_of_workers(const struct bide_cli *cli, const struct bide_broker_stats *stats)
{
    if (stats->n_workers)
        fprintf(stderr,
            "bide %s: %zu worker%s the source: what workers have in hand stays with them, and they go on "
            "taking messages; stop them first to move everything\n",
            cli->command->name, stats->n_workers, stats->n_workers == 1 ? " serves" : "s serve");
}

struct joined {
    struct ends *ends;
    bide_code code;
    bide_error *error;
};

static bool add_joined(void *user, const char *subscription)
{
    struct joined *joined = user;
    joined->code = bide_cli_names_add(&joined->ends->queues, subscription, joined->error);
    if (joined->code == BIDE_OK)
        joined->code = bide_cli_names_add(&joined->ends->joined, subscription, joined->error);
    return joined->code == BIDE_OK;
}

/* A queue that is called like a subscription may be one that was left. */
static bide_code list_joined(struct ends *ends, bide_error *error)
{
    struct joined joined = {ends, BIDE_OK, error};
    bide_code code = BIDE_OK;
    if (ends->from_admin->ops->subscriptions)
        code = ends->from_admin->ops->subscriptions(ends->from_admin, add_joined, &joined, error);
    else
        for (size_t i = 0; i < ends->queues.n && joined.code == BIDE_OK; i++)
            if (bide_queue_topic(ends->queues.items[i]))
                add_joined(&joined, ends->queues.items[i]);
    return code == BIDE_OK ? joined.code : code;
}

/* Looks at the source: which queues the destination has to have, and how much there is. */
static bide_code look(
    struct bide_cli *cli, struct ends *ends, const char *queue, uint64_t *ret_total, bide_error *error)
{
    struct bide_broker_stats stats;
    bide_code code = ends->from_admin->ops->stats(ends->from_admin, &stats, error);
    if (code != BIDE_OK)
        return code;
    warn_of_workers(cli, &stats);
    for (size_t i = 0; code == BIDE_OK && i < stats.n_queues; i++)
        if (bide_queue_name_valid(stats.queues[i].name))
            code = bide_cli_names_add(&ends->queues, stats.queues[i].name, error);
    if (code == BIDE_OK)
        *ret_total = bide_cli_backlog(&stats, queue);
    bide_broker_stats_clear(&stats);
    return code == BIDE_OK ? list_joined(ends, error) : code;
}

/* The subscriptions of what is moved get at the destination what is sent there from now on. */
static bide_code join_topics(struct ends *ends, const char *queue, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < ends->joined.n; i++) {
        const char *name = ends->joined.items[i];
        if (!queue || strcmp(queue, name) == 0)
            code = ends->to_admin->ops->join(ends->to_admin, name, error);
    }
    return code;
}

/* It would go on for ever: what has been moved is found again. */
static bide_code refuse_same_place(struct ends *ends, bide_error *error)
{
    bool same = false;
    if (ends->from.broker.adapter != ends->to.broker.adapter)
        return BIDE_OK;
    bide_code code = ends->from_admin->ops->same_place(ends->from_admin, ends->to_admin, &same, error);
    if (code == BIDE_OK && same)
        code =
            bide_fail(error, BIDE_E_USAGE, "--from and --to are the same broker: there is nothing to move");
    return code;
}

static bide_code open_ends(struct bide_cli *cli, const struct values *values, struct ends *ends,
    uint64_t *ret_total, bide_error *error)
{
    bide_code code = open_sessions(cli, values, ends, error);
    if (code != BIDE_OK)
        return code;
    know_queues(&ends->from, &ends->queues);
    code = ends->from.broker.adapter->open_admin(&ends->from.broker.options, &ends->from_admin, error);
    if (code == BIDE_OK)
        code = look(cli, ends, values->queue, ret_total, error);
    if (code != BIDE_OK)
        return code;
    know_queues(&ends->to, &ends->queues);
    code = ends->to.broker.adapter->open_admin(&ends->to.broker.options, &ends->to_admin, error);
    if (code == BIDE_OK)
        code = refuse_same_place(ends, error);
    if (code == BIDE_OK)
        code = join_topics(ends, values->queue, error);
    if (code == BIDE_OK)
        code = ends->to.broker.adapter->open_sender(&ends->to.broker.options, &ends->sender, error);
    return code;
}

static void close_ends(struct ends *ends)
{
    bide_sender_destroy(ends->sender);
    bide_admin_destroy(ends->to_admin);
    bide_admin_destroy(ends->from_admin);
    bide_cli_session_close(&ends->to);
    bide_cli_session_close(&ends->from);
    bide_cli_names_clear(&ends->queues);
    bide_cli_names_clear(&ends->joined);
}

/* ---- the result ---- */

static void print_result(const struct bide_cli *cli, const struct bide_carrier *carrier)
{
    uint64_t moved = carrier->ready + carrier->delayed + carrier->dead;
    if (!cli->json) {
        printf("moved %" PRIu64 " message%s: %" PRIu64 " ready, %" PRIu64 " delayed, %" PRIu64 " dead\n",
            moved, moved == 1 ? "" : "s", carrier->ready, carrier->delayed, carrier->dead);
        return;
    }
    struct bide_buffer line;
    bide_cli_object_begin(&line);
    bide_json_int(&line, "moved", (int64_t)moved);
    bide_json_int(&line, "ready", (int64_t)carrier->ready);
    bide_json_int(&line, "delayed", (int64_t)carrier->delayed);
    bide_json_int(&line, "dead", (int64_t)carrier->dead);
    bide_json_int(&line, "refused", (int64_t)carrier->refused.n);
    bide_cli_object_end(&line);
}

static bide_code run(struct bide_cli *cli, void *base, bide_error *error)
{
    const struct values *values = base;
    struct ends ends = {.sender = NULL};
    struct bide_carrier carrier = {.cli = cli};
    bide_code code = check_values(values, error);
    if (code == BIDE_OK)
        code = open_ends(cli, values, &ends, &carrier.total, error);
    if (code == BIDE_OK) {
        carrier.sender = ends.sender;
        carrier.admin = ends.to_admin;
        bide_cli_progress_init(&carrier.progress, "moved");
        code = ends.from_admin->ops->export_each(
            ends.from_admin, values->queue, bide_cli_carry, &carrier, error);
        bide_cli_progress_end(&carrier.progress);
        print_result(cli, &carrier); /* also of what went before a failure */
    }
    if (code == BIDE_OK && carrier.refused.n)
        code = bide_fail(error, BIDE_E_DATA, "%zu message%s refused and stayed: see above", carrier.refused.n,
            carrier.refused.n == 1 ? " was" : "s were");
    bide_cli_names_clear(&carrier.refused);
    close_ends(&ends);
    return code;
}

const struct bide_cli_command bide_cli_move = {
    .name = "move",
    .usage = "--from URL --to URL [--queue QUEUE] [options]",
    .examples = "bide move --from sqlite:bide.db --to amqp://user:password@rabbit/shop",
    .summary = "Carries a backlog from one broker to another.",
    .details =
        "Ready, delayed and dead messages go over in batches of 500; each is deleted where it was only "
        "after the\nother broker has confirmed it. Ids, due times, attempts and headers stay. "
        "Interrupted, even killed, it is\nresumed by running it again: nothing is lost, and one batch at "
        "most arrives twice.\nRabbitMQ cannot list queues: of a RabbitMQ, those of the configuration and "
        "--queue are moved.",
    .options = options,
    .values_size = sizeof(struct values),
    .max_arguments = 0,
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
