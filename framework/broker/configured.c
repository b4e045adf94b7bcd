#include "broker/configured.h"

#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"

enum { TIMEOUT_MS = 10 * 1000 };

/* Who fixes the prefetch wants the rest to be left for others, or in the broker: also what is nearly due. */
static size_t early_max(const struct bide_worker_config *config)
{
    if (config->prefetch == 0)
        return 0;
    return (size_t)(config->prefetch > config->threads ? config->prefetch : config->threads);
}

static bide_code find(
    const struct bide_config *config, struct bide_configured_broker *broker, bide_error *error)
{
    bide_code code = bide_url_parse(config->broker, &broker->url, error);
    if (code == BIDE_OK)
        code = bide_adapter_find(&broker->url, &broker->adapter, error);
    if (code == BIDE_OK)
        code =
            bide_adapter_take_option(broker->adapter, &broker->url, "queue_type", config->queue_type, error);
    char shards[16];
    snprintf(shards, sizeof shards, "%d", config->ladder_shards);
    if (code == BIDE_OK && config->ladder_shards)
        code = bide_adapter_take_option(broker->adapter, &broker->url, "ladder_shards", shards, error);
    return code;
}

static bide_code fill(const struct bide_config *config, const char *who,
    struct bide_configured_broker *broker, bide_error *error)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    snprintf(broker->client_name, sizeof broker->client_name, "bide %s %s:%d", who, host, (int)getpid());
    if (!(broker->queues = bide_calloc(config->n_queues, sizeof *broker->queues)))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < config->n_queues; i++)
        broker->queues[i] = config->queues[i].name;
    broker->options = (struct bide_broker_options){
        .url = &broker->url,
        .name_space = config->name_space,
        .base_dir = config->dir,
        .queues = broker->queues,
        .n_queues = config->n_queues,
        .subscriptions = (const char *const *)config->subscriptions,
        .n_subscriptions = config->n_subscriptions,
        .client_name = broker->client_name,
        .timeout_ms = TIMEOUT_MS,
        .max_body = (size_t)config->worker.max_body,
        .max_in_flight = (size_t)config->worker.max_in_flight,
        .early_max = early_max(&config->worker),
        .clock = bide_clock_system(),
    };
    return BIDE_OK;
}

bide_code bide_broker_configure(const struct bide_config *config, const char *who,
    struct bide_configured_broker *ret_broker, bide_error *error)
{
    *ret_broker = (struct bide_configured_broker){0};
    bide_code code = find(config, ret_broker, error);
    if (code == BIDE_OK)
        code = fill(config, who, ret_broker, error);
    if (code != BIDE_OK)
        bide_configured_broker_clear(ret_broker);
    return code;
}

void bide_configured_broker_clear(struct bide_configured_broker *broker)
{
    bide_free(broker->queues);
    bide_url_clear(&broker->url);
    *broker = (struct bide_configured_broker){0};
}

bide_code bide_broker_override(struct bide_config *config, const char *url, bide_error *error)
{
    struct bide_url parsed = {0};
    char *copy = bide_strdup(url), *to = bide_strdup(url);
    if (!copy || !to) {
        bide_free(copy);
        bide_free(to);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    bide_free(config->broker);
    config->broker = copy;
    if (config->spool.url) {
        struct bide_relay_config *relay = &config->relays[config->n_relays - 1];
        bide_free(relay->to);
        relay->to = to;
    } else {
        bide_free(to);
    }
    /* A wrong URL is refused by who opens it. */
    bool is_good = bide_url_parse(url, &parsed, NULL) == BIDE_OK;
    if (is_good && bide_url_param(&parsed, "queue_type")) {
        bide_free(config->queue_type);
        config->queue_type = NULL;
    }
    if (is_good && bide_url_param(&parsed, "ladder_shards"))
        config->ladder_shards = 0;
    bide_url_clear(&parsed);
    return BIDE_OK;
}
