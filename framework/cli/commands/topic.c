/* bide topic list, bide topic join, bide topic leave. */
#include <stdio.h>
#include <string.h>

#include "cli/commands/topic.h"
#include "cli/core/output.h"
#include "keys/admin.h"

/* The session, its admin, and the names of subscriptions. */
struct topics {
    struct bide_cli_session session;
    struct bide_cli_topic_record record;
    struct bide_admin *admin;
    struct bide_cli_names known;  /* what the options name */
    struct bide_cli_names listed; /* found at the broker, or the known ones */
};

static void close_topics(struct topics *topics)
{
    bide_admin_close(topics->admin);
    bide_cli_topic_record_close(&topics->record);
    bide_cli_session_close(&topics->session);
    bide_cli_names_clear(&topics->known);
    bide_cli_names_clear(&topics->listed);
}

/* Those of the configuration and of the record, and the one that the command is about (or NULL). */
static bide_code know(struct topics *topics, const char *subscription, bide_error *error)
{
    const struct bide_config *config = topics->session.config;
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < config->n_subscriptions; i++)
        code = bide_cli_names_add(&topics->known, config->subscriptions[i], error);
    for (size_t i = 0; code == BIDE_OK && i < config->n_queues; i++)
        if (bide_queue_topic(config->queues[i].name))
            code = bide_cli_names_add(&topics->known, config->queues[i].name, error);
    if (code == BIDE_OK && subscription)
        code = bide_cli_names_add(&topics->known, subscription, error);
    if (code == BIDE_OK && !topics->session.broker.adapter->creates_queues)
        code = bide_cli_topic_record_read(&topics->record, config, &topics->known, error);
    return code;
}

static bide_code open_topics(
    struct bide_cli *cli, const char *subscription, struct topics *topics, bide_error *error)
{
    *topics = (struct topics){0};
    bide_code code = bide_cli_session_open(cli, &topics->session, error);
    if (code != BIDE_OK)
        return code;
    struct bide_broker_options *options = &topics->session.broker.options;
    code = know(topics, subscription, error);
    options->subscriptions = (const char *const *)topics->known.items;
    options->n_subscriptions = topics->known.n;
    if (code == BIDE_OK)
        code = topics->session.broker.adapter->open_admin(options, &topics->admin, error);
    if (code == BIDE_OK)
        bide_admin_take_store(topics->admin, topics->session.config);
    else
        close_topics(topics);
    return code;
}

static bide_code take_name(struct bide_cli *cli, const char **ret_name, bide_error *error)
{
    *ret_name = cli->arguments.items[0];
    if (bide_subscription_valid(*ret_name))
        return BIDE_OK;
    return bide_fail(
        error, BIDE_E_USAGE, "'%.120s' is not a subscription, SUB@TOPIC: " BIDE_TOPIC_RULE, *ret_name);
}

/* ---- figures ---- */

static struct bide_queue_stats stats_of(const struct bide_broker_stats *stats, const char *subscription)
{
    for (size_t i = 0; i < stats->n_queues; i++)
        if (strcmp(stats->queues[i].name, subscription) == 0)
            return stats->queues[i];
    return (struct bide_queue_stats){0};
}

static int64_t known(int64_t count)
{
    return count > 0 ? count : 0;
}

/* What waits: what the subscription lags behind. */
static int64_t lag_of(const struct bide_queue_stats *stats)
{
    return known(stats->ready) + known(stats->delayed) + known(stats->landing);
}

/* ---- listing ---- */

/* Where there is no memory for a name, the walk ends, and the list is short. */
static bool add_name(void *user, const char *subscription)
{
    return bide_cli_names_add(user, subscription, NULL) == BIDE_OK;
}

/* Where the broker cannot tell, those that are known. */
static bide_code find_names(struct topics *topics, bide_error *error)
{
    if (topics->admin->ops->subscriptions)
        return topics->admin->ops->subscriptions(topics->admin, add_name, &topics->listed, error);
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < topics->known.n; i++)
        code = bide_cli_names_add(&topics->listed, topics->known.items[i], error);
    return code;
}

static void print_json(const char *subscription, const struct bide_queue_stats *stats)
{
    struct bide_buffer line;
    bide_cli_object_begin(&line);
    bide_json_text(&line, "subscription", subscription);
    bide_json_text(&line, "topic", bide_queue_topic(subscription));
    bide_json_int(&line, "lag", lag_of(stats));
    bide_json_int(&line, "dead", stats->dead);
    bide_json_count(&line, "oldest_ready_ms", stats->oldest_ready_ms);
    bide_cli_object_end(&line);
}

static void add_row(
    struct bide_cli_table *table, const char *subscription, const struct bide_queue_stats *stats)
{
    bide_cli_table_text(table, subscription);
    bide_cli_table_count(table, lag_of(stats));
    bide_cli_table_count(table, stats->dead);
    bide_cli_table_age(table, stats->oldest_ready_ms);
}

static void print_all(
    const struct bide_cli *cli, const struct topics *topics, const struct bide_broker_stats *stats)
{
    static const char *const columns[] = {"SUBSCRIPTION", ">LAG", ">DEAD", ">OLDEST READY", NULL};
    struct bide_cli_table table;
    bide_cli_table_init(&table, columns);
    for (size_t i = 0; i < topics->listed.n; i++) {
        struct bide_queue_stats row = stats_of(stats, topics->listed.items[i]);
        if (cli->json)
            print_json(topics->listed.items[i], &row);
        else
            add_row(&table, topics->listed.items[i], &row);
    }
    if (!cli->json)
        bide_cli_table_flush(&table);
    bide_cli_table_release(&table);
}

static bide_code list(struct bide_cli *cli, void *values, bide_error *error)
{
    struct topics topics;
    struct bide_broker_stats stats = {0};
    (void)values;
    bide_code code = open_topics(cli, NULL, &topics, error);
    if (code != BIDE_OK)
        return code;
    code = find_names(&topics, error);
    if (code == BIDE_OK)
        code = topics.admin->ops->stats(topics.admin, &stats, error);
    if (code == BIDE_OK)
        print_all(cli, &topics, &stats);
    bide_broker_stats_clear(&stats);
    close_topics(&topics);
    return code;
}

/* ---- joining ---- */

static void print_done(
    const struct bide_cli *cli, const char *key, const char *subscription, const char *text)
{
    if (cli->json)
        printf("{\"subscription\":\"%s\",\"%s\":true}\n", subscription, key);
    else
        printf("%s %s\n", subscription, text);
}

static bide_code join(struct bide_cli *cli, void *values, bide_error *error)
{
    struct topics topics;
    const char *name;
    (void)values;
    bide_code code = take_name(cli, &name, error);
    if (code == BIDE_OK)
        code = open_topics(cli, name, &topics, error);
    if (code != BIDE_OK)
        return code;
    code = topics.admin->ops->join(topics.admin, name, error);
    if (code == BIDE_OK)
        code = bide_cli_topic_record_set(&topics.record, name, true, error);
    if (code == BIDE_OK)
        print_done(cli, "joined", name, "gets what is sent to its topic from now on");
    close_topics(&topics);
    return code;
}

/* ---- leaving ---- */

struct leave_values {
    bool force;
};

/* Asks on standard error; anything but "y" or "yes" is a no. */
static bide_code ask(const char *subscription, const struct bide_queue_stats *stats, bide_error *error)
{
    char answer[16] = "";
    fprintf(stderr, "%s: what waits there (%lld) and its dead letters (%lld) will be deleted. Go on? [y/N] ",
        subscription, (long long)lag_of(stats), (long long)known(stats->dead));
    if (!fgets(answer, sizeof answer, stdin))
        *answer = '\0';
    answer[strcspn(answer, "\r\n")] = '\0';
    if (strcmp(answer, "y") == 0 || strcmp(answer, "yes") == 0)
        return BIDE_OK;
    return bide_fail(
        error, BIDE_E_DATA, "nothing was changed: answer y, or give --force, to leave %s", subscription);
}

/* The configuration's workers join it again. */
static void warn_of_configuration(const struct bide_config *config, const char *subscription)
{
    bool listed = false;
    for (size_t i = 0; i < config->n_subscriptions; i++)
        listed |= strcmp(config->subscriptions[i], subscription) == 0;
    for (size_t i = 0; i < config->n_queues; i++)
        listed |= strcmp(config->queues[i].name, subscription) == 0;
    if (listed)
        fprintf(stderr,
            "bide topic leave: warning: %s is in %s: a worker that starts with it joins the topic again\n",
            subscription, config->path ? config->path : "the configuration");
}

/* RabbitMQ has deleted all with the queue. */
static bide_code empty(struct bide_admin *admin, const char *subscription, bide_error *error)
{
    const bide_selection waiting = {.queue = subscription};
    const bide_account nobody = {0};
    const struct bide_dead_filter dead = {.queue = subscription};
    uint64_t n;
    if (!admin->ops->change)
        return BIDE_OK;
    bide_code code = bide_admin_cancel(admin, &waiting, &nobody, error);
    if (code == BIDE_OK)
        code = admin->ops->dead_drop(admin, &dead, NULL, NULL, &n, error);
    return code == BIDE_OK ? admin->ops->leave(admin, subscription, error) : code;
}

static bide_code leave(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct leave_values *values = given;
    struct topics topics;
    struct bide_broker_stats stats = {0};
    const char *name;
    bide_code code = take_name(cli, &name, error);
    if (code == BIDE_OK)
        code = open_topics(cli, name, &topics, error);
    if (code != BIDE_OK)
        return code;
    code = values->force ? BIDE_OK : topics.admin->ops->stats(topics.admin, &stats, error);
    if (code == BIDE_OK && !values->force) {
        struct bide_queue_stats row = stats_of(&stats, name);
        code = ask(name, &row, error);
    }
    if (code == BIDE_OK)
        code = topics.admin->ops->leave(topics.admin, name, error);
    if (code == BIDE_OK)
        code = empty(topics.admin, name, error);
    if (code == BIDE_OK)
        code = bide_cli_topic_record_set(&topics.record, name, false, error);
    if (code == BIDE_OK) {
        warn_of_configuration(topics.session.config, name);
        print_done(cli, "left", name, "gets nothing more; what waited there is deleted");
    }
    bide_broker_stats_clear(&stats);
    close_topics(&topics);
    return code;
}

/* ---- the commands ---- */

static const struct bide_cli_option no_options[] = {{0}};

const struct bide_cli_command bide_cli_topic_list = {
    .name = "topic list",
    .usage = "[options]",
    .examples = "bide topic list\nbide topic list --json | jq 'select(.lag > 1000)'",
    .summary = "Shows the subscriptions of topics: how many messages wait, and for how long.",
    .details = "LAG: what is ready or delayed there. OLDEST READY: for how long a message has been due and "
               "nobody has taken it.\nRabbitMQ: the subscriptions of the configuration, and, with a `store`, "
               "those that `bide topic join` has "
               "recorded there; what waits on the "
               "ladder is not counted, and the age is unknown ('-').",
    .options = no_options,
    .log_level = BIDE_LOG_WARN,
    .run = list,
};

const struct bide_cli_command bide_cli_topic_join = {
    .name = "topic join",
    .usage = "SUB@TOPIC [options]",
    .examples = "bide topic join audit@logs",
    .summary = "Lets a subscription get a copy of what is sent to a topic from now on.",
    .details =
        "The subscription is a queue of that name, which need not be served yet. What is sent after the "
        "command has returned\narrives there. A worker joins by itself what its configuration names "
        "(`topics`, `on`).",
    .options = no_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = join,
};

static const struct bide_cli_option leave_options[] = {
    {"force", BIDE_CLI_FLAG, offsetof(struct leave_values, force), .help = "Do not ask."},
    {0},
};

const struct bide_cli_command bide_cli_topic_leave = {
    .name = "topic leave",
    .usage = "SUB@TOPIC [--force] [options]",
    .examples = "bide topic leave audit@logs",
    .summary = "Ends a subscription, and deletes its queue with what is in it.",
    .details =
        "Take it out of the configuration of the workers that serve it first: they join it again. What "
        "a worker has in hand\nruns to its end.",
    .options = leave_options,
    .values_size = sizeof(struct leave_values),
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = leave,
};
