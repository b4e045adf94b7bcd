#include "broker/rabbitmq/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/units.h"
#include "broker/rabbitmq/objects.h"
#include "broker/risk.h"

enum {
    PORT = 5672,
    TLS_PORT = 5671,
    HEARTBEAT_S = 10,
    CONNECT_TIMEOUT_S = 5,
    CONSUMER_TIMEOUT_S = 1800,
    HOUR_S = 3600,
    NAME_SIZE = 512
};

static const char *const known_params[] = {"heartbeat", "connect_timeout", "consumer_timeout", "cacertfile",
    "cafile", "certfile", "keyfile", "verify", "queue_type", "ladder_shards", NULL};

/* ---- texts ---- */

static const char *keep(struct bide_arena *arena, const char *text)
{
    return text ? bide_arena_copy(arena, text, strlen(text)) : NULL;
}

/* "<a>.<b><end>" */
static const char *join(struct bide_arena *arena, const char *a, const char *b, const char *end)
{
    char text[NAME_SIZE];
    snprintf(text, sizeof text, "%s.%s%s", a, b, end);
    return keep(arena, text);
}

char *bide_rmq_holding_name(
    const char *name_space, int rung, int number, int shard, char to[BIDE_RMQ_HOLDING_NAME])
{
    char text[BIDE_RMQ_RUNG_TEXT];
    snprintf(to, BIDE_RMQ_HOLDING_NAME, "%.100s.hold.%s.%d", name_space,
        bide_rmq_rung_text(rung, number, text), shard);
    return to;
}

/* "<namespace>.hold.rung.1min" */
static const char *name_rung(struct bide_arena *arena, const char *name_space, int rung)
{
    char text[BIDE_RMQ_RUNG_TEXT];
    return join(arena, name_space, "hold.rung.", bide_rmq_rung_text(rung, 1, text));
}

static bool add_queue(struct bide_rmq_settings *settings, const char *name)
{
    struct bide_arena *arena = &settings->arena;
    const char *ns = settings->name_space;
    struct bide_rmq_queue *queue = &settings->queues[settings->n_known++];
    *queue = (struct bide_rmq_queue){.name = keep(arena, name),
        .work = join(arena, ns, name, ""),
        .landing = join(arena, ns, name, ".landing"),
        .later = join(arena, ns, name, ".later"),
        .dead = join(arena, ns, name, ".dead")};
    return queue->name && queue->work && queue->landing && queue->later && queue->dead;
}

static bool is_known(const struct bide_rmq_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->n_known; i++)
        if (strcmp(settings->queues[i].name, name) == 0)
            return true;
    return false;
}

bool bide_rmq_settings_name_queues(struct bide_rmq_settings *settings, const char *const *queues,
    size_t n_queues, const char *const *others, size_t n_others)
{
    settings->queues =
        bide_arena_alloc(&settings->arena, (n_queues + n_others + 1) * sizeof *settings->queues);
    bool complete = settings->queues != NULL;
    settings->n_known = 0;
    for (size_t i = 0; complete && i < n_queues; i++)
        complete = add_queue(settings, queues[i]);
    settings->n_queues = settings->n_known;
    for (size_t i = 0; complete && i < n_others; i++)
        complete = is_known(settings, others[i]) || add_queue(settings, others[i]);
    return complete;
}

static bool name_everything(struct bide_rmq_settings *settings, const struct bide_broker_options *options)
{
    struct bide_arena *arena = &settings->arena;
    const char *ns = settings->name_space = keep(arena, options->name_space);
    if (!ns)
        return false;
    settings->work_exchange = join(arena, ns, "work", "");
    settings->landing_exchange = join(arena, ns, "landing", "");
    settings->due_exchange = join(arena, ns, "due", "");
    settings->topic_exchange = join(arena, ns, "topic", "");
    settings->unrouted = join(arena, ns, "unrouted", "");
    settings->later_exchange = join(arena, ns, "later", "");
    settings->unrouted_later = join(arena, ns, "unrouted", ".later");
    bool complete = settings->work_exchange && settings->landing_exchange && settings->due_exchange &&
                    settings->topic_exchange && settings->unrouted && settings->later_exchange &&
                    settings->unrouted_later;
    for (int rung = 0; rung < BIDE_RMQ_RUNGS; rung++)
        complete &= (settings->hold_exchange[rung] = name_rung(arena, ns, rung)) != NULL;
    return complete && bide_rmq_settings_name_queues(settings, options->queues, options->n_queues,
                           options->subscriptions, options->n_subscriptions);
}

/* ---- the URL ---- */

static bide_code seconds(
    const struct bide_url *url, const char *name, int fallback, int most, int *ret_seconds, bide_error *error)
{
    const char *text = bide_url_param(url, name);
    int64_t value = fallback;
    if (text && bide_parse_int(text, 0, most, &value, NULL) != BIDE_OK)
        return bide_fail(error, BIDE_E_CONFIG, "%s: %s=%s: write a number of seconds from 0 to %d",
            url->redacted, name, text, most);
    *ret_seconds = (int)value;
    return BIDE_OK;
}

static bide_code read_times(struct bide_rmq_settings *settings, const struct bide_url *url, bide_error *error)
{
    int connect_s = 0;
    bide_code code = seconds(url, "heartbeat", HEARTBEAT_S, HOUR_S, &settings->heartbeat_s, error);
    if (code == BIDE_OK)
        code = seconds(url, "connect_timeout", CONNECT_TIMEOUT_S, HOUR_S, &connect_s, error);
    if (code == BIDE_OK)
        code = seconds(url, "consumer_timeout", CONSUMER_TIMEOUT_S, 365 * 24 * HOUR_S,
            &settings->consumer_timeout_s, error);
    if (code != BIDE_OK)
        return code;
    if (connect_s == 0)
        return bide_fail(error, BIDE_E_CONFIG, "%s: connect_timeout: write at least 1 second", url->redacted);
    settings->connect_timeout_ms = connect_s * 1000;
    return BIDE_OK;
}

struct word {
    const char *text;
    bool value;
};

static const struct word verify_words[] = {
    {"peer", true}, {"verify_peer", true}, {"none", false}, {"verify_none", false}, {0}};
static const struct word queue_type_words[] = {{"quorum", false}, {"classic", true}, {0}};

/* rule: what to write. *value: as it is where the URL does not say. */
static bide_code read_word(const struct bide_url *url, const char *name, const struct word *words,
    const char *rule, bool *value, bide_error *error)
{
    const char *text = bide_url_param(url, name);
    for (; text && words->text; words++)
        if (strcmp(words->text, text) == 0) {
            *value = words->value;
            return BIDE_OK;
        }
    return text ? bide_fail(error, BIDE_E_CONFIG, "%s: %s=%s: write %s", url->redacted, name, text, rule)
                : BIDE_OK;
}

static bide_code read_words(struct bide_rmq_settings *settings, const struct bide_url *url, bide_error *error)
{
    settings->verify = true;
    bide_code code = read_word(
        url, "verify", verify_words, "verify=peer (the default) or verify=none", &settings->verify, error);
    if (code == BIDE_OK)
        code = read_word(url, "queue_type", queue_type_words,
            "queue_type=quorum (the default) or queue_type=classic", &settings->classic, error);
    return code;
}

static bide_code read_shards(
    struct bide_rmq_settings *settings, const struct bide_url *url, bide_error *error)
{
    const char *text = bide_url_param(url, "ladder_shards");
    int64_t shards = 1;
    if (text && bide_parse_int(text, 1, BIDE_RMQ_SHARDS, &shards, NULL) != BIDE_OK)
        return bide_fail(error, BIDE_E_CONFIG, "%s: ladder_shards=%s: write a number from 1 to %d",
            url->redacted, text, BIDE_RMQ_SHARDS);
    settings->shards = (int)shards;
    return BIDE_OK;
}

const char *bide_rmq_risk(const struct bide_url *url)
{
    bool verify = true;
    read_word(url, "verify", verify_words, "", &verify, NULL);
    if (!verify)
        return "verify=none: the broker's certificate is not checked, so that anybody on the way can read "
               "the "
               "password and the messages: give cacertfile=… instead";
    if (strcmp(url->scheme, "amqp") == 0 && bide_broker_shows_password(url))
        return "the password goes over the network in clear text: use amqps://";
    return NULL;
}

/* The path of a file, relative to base_dir; NULL where the option is absent. */
static bool read_path(struct bide_rmq_settings *settings, const struct bide_broker_options *options,
    const char *name, const char **ret_path)
{
    const char *text = bide_url_param(options->url, name);
    if (!text)
        return true;
    char path[4096];
    if (*text == '/' || !options->base_dir)
        snprintf(path, sizeof path, "%s", text);
    else
        snprintf(path, sizeof path, "%s/%s", options->base_dir, text);
    *ret_path = keep(&settings->arena, path);
    return *ret_path != NULL;
}

static bool read_hosts(struct bide_rmq_settings *settings, const struct bide_url *url)
{
    int port = settings->tls ? TLS_PORT : PORT;
    settings->n_hosts = url->n_hosts ? url->n_hosts : 1;
    settings->hosts[0] = (struct bide_rmq_host){"localhost", port};
    for (size_t i = 0; i < url->n_hosts; i++) {
        const struct bide_url_host *host = &url->hosts[i];
        settings->hosts[i].port = host->port ? host->port : port;
        if (!(settings->hosts[i].name = keep(&settings->arena, host->name)))
            return false;
    }
    return true;
}

static bool copy_texts(struct bide_rmq_settings *settings, const struct bide_broker_options *options)
{
    const struct bide_url *url = options->url;
    struct bide_arena *arena = &settings->arena;
    settings->user = keep(arena, url->user ? url->user : "guest");
    settings->password = keep(arena, url->password ? url->password : "guest");
    settings->vhost = keep(arena, url->path && *url->path ? url->path : "/");
    settings->redacted = keep(arena, url->redacted);
    settings->client_name = keep(arena, options->client_name ? options->client_name : "bide");
    return settings->user && settings->password && settings->vhost && settings->redacted &&
           settings->client_name && read_hosts(settings, url) &&
           read_path(settings, options, "cafile", &settings->cafile) &&
           read_path(settings, options, "cacertfile", &settings->cafile) &&
           read_path(settings, options, "certfile", &settings->certfile) &&
           read_path(settings, options, "keyfile", &settings->keyfile) && name_everything(settings, options);
}

static bide_code fill(
    struct bide_rmq_settings *settings, const struct bide_broker_options *options, bide_error *error)
{
    const struct bide_url *url = options->url;
    bide_code code = bide_url_check_params(url, known_params, error);
    if (code == BIDE_OK)
        code = read_times(settings, url, error);
    if (code == BIDE_OK)
        code = read_words(settings, url, error);
    if (code == BIDE_OK)
        code = read_shards(settings, url, error);
    if (code != BIDE_OK)
        return code;
    settings->tls = strcmp(url->scheme, "amqps") == 0;
    settings->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : 10000;
    settings->max_body = options->max_body;
    settings->max_in_flight = options->max_in_flight;
    if (settings->max_in_flight && settings->max_in_flight < settings->max_body)
        settings->max_in_flight = settings->max_body;
    settings->early_max = options->early_max ? options->early_max : BIDE_RMQ_LANDED_MAX;
    settings->clock = options->clock;
    if (!copy_texts(settings, options))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (!settings->certfile != !settings->keyfile)
        return bide_fail(error, BIDE_E_CONFIG, "%s: a client certificate needs both certfile=… and keyfile=…",
            url->redacted);
    code = bide_broker_check_file("the CA's file ", settings->cafile, error);
    return code == BIDE_OK ? bide_broker_check_file("the key ", settings->keyfile, error) : code;
}

bide_code bide_rmq_settings_create(
    const struct bide_broker_options *options, struct bide_rmq_settings **ret_settings, bide_error *error)
{
    struct bide_rmq_settings *settings = bide_calloc(1, sizeof *settings);
    if (!settings)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_arena_init(&settings->arena);
    bide_code code = fill(settings, options, error);
    if (code != BIDE_OK) {
        bide_rmq_settings_destroy(settings);
        return code;
    }
    *ret_settings = settings;
    return BIDE_OK;
}

void bide_rmq_settings_destroy(struct bide_rmq_settings *settings)
{
    if (!settings)
        return;
    bide_arena_release(&settings->arena);
    bide_free(settings);
}
