#include "bide/producer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "broker/configured.h"
#include "message/message.h"
#include "producer/configured.h"
#include "producer/inside.h"
#include "producer/spool.h"
#include "store/configured.h"

enum { DEFAULT_MAX_BODY = 1024 * 1024, DEFAULT_TIMEOUT_MS = 10 * 1000 };

static void fill_broker_options(
    const bide_producer_options *from, const char *client_name, struct bide_broker_options *to)
{
    *to = (struct bide_broker_options){
        .name_space = from->name_space ? from->name_space : "bide",
        .base_dir = from->base_dir ? from->base_dir : ".",
        .queues = from->queues,
        .n_queues = from->n_queues,
        .client_name = client_name,
        .timeout_ms = from->timeout_ms > 0 ? from->timeout_ms : DEFAULT_TIMEOUT_MS,
        .max_body = from->max_body ? from->max_body : DEFAULT_MAX_BODY,
        .clock = bide_clock_system(),
    };
}

/* Without a store, only unique messages are refused. */
static void open_store(struct bide_producer *producer, const char *broker_url, const char *store_url,
    const struct bide_store_options *given)
{
    if (bide_store_open_for(broker_url, store_url, given, "a unique key, a stream or a transaction",
            &producer->store, &producer->no_store) != BIDE_OK)
        producer->store = NULL;
}

static bide_code open_sender(const char *url_text, const bide_producer_options *given,
    const bide_spool *spool, struct bide_sender **ret_sender, bide_error *error)
{
    struct bide_broker_options options;
    const struct bide_adapter *adapter;
    struct bide_url url;
    char name[320] = "bide producer ", host[256] = "";
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "bide producer %s:%d", host, (int)getpid());
    fill_broker_options(given, name, &options);
    if (!bide_namespace_valid(options.name_space))
        return bide_fail(error, BIDE_E_CONFIG, "'%.100s' is not a namespace: letters, digits, '-' and '_'",
            options.name_space);
    bide_code code = bide_url_parse(url_text, &url, error);
    if (code != BIDE_OK)
        return code;
    options.url = &url;
    code = bide_adapter_find(&url, &adapter, error);
    if (code == BIDE_OK)
        code = bide_adapter_take_option(adapter, &url, "queue_type", given->queue_type, error);
    if (code == BIDE_OK)
        code = spool ? bide_spool_open(spool, adapter, &options, &url, ret_sender, error)
                     : adapter->open_sender(&options, ret_sender, error);
    bide_url_clear(&url);
    return code;
}

/* Takes over the sender, also after a failure. */
static bide_code create(struct bide_sender *sender, const char *queue, size_t max_body, int64_t timeout_ms,
    bide_producer **ret_producer, bide_error *error)
{
    struct bide_producer *producer = bide_calloc(1, sizeof *producer);
    if (!producer) {
        bide_sender_destroy(sender);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    pthread_mutex_init(&producer->lock, NULL);
    producer->sender = sender;
    producer->clock = bide_clock_system();
    producer->max_body = max_body;
    producer->timeout_ms = timeout_ms;
    memcpy(producer->default_queue, queue, strlen(queue) + 1);
    *ret_producer = producer;
    return BIDE_OK;
}

bide_code bide_producer_open(
    const char *url, const bide_producer_options *options, bide_producer **ret_producer, bide_error *error)
{
    return bide_producer_open_with_spool(url, NULL, options, NULL, ret_producer, error);
}

bide_code bide_producer_open_with_store(const char *url, const char *store_url,
    const bide_producer_options *options, bide_producer **ret_producer, bide_error *error)
{
    return bide_producer_open_with_spool(url, store_url, options, NULL, ret_producer, error);
}

bide_code bide_producer_open_with_spool(const char *url, const char *store_url,
    const bide_producer_options *options, const bide_spool *spool, bide_producer **ret_producer,
    bide_error *error)
{
    const bide_producer_options none = {0};
    const bide_producer_options *given = options ? options : &none;
    const char *queue = given->default_queue ? given->default_queue : "default";
    struct bide_sender *sender;
    if (!bide_queue_name_valid(queue))
        return bide_fail(error, BIDE_E_CONFIG, "'%.100s' is not a queue name", queue);
    bide_code code = open_sender(url, given, spool, &sender, error);
    size_t max_body = given->max_body ? given->max_body : DEFAULT_MAX_BODY;
    int64_t timeout_ms = given->timeout_ms > 0 ? given->timeout_ms : DEFAULT_TIMEOUT_MS;
    if (code == BIDE_OK)
        code = create(sender, queue, max_body, timeout_ms, ret_producer, error);
    if (code == BIDE_OK)
        open_store(*ret_producer, url, store_url,
            &(struct bide_store_options){.name_space = given->name_space ? given->name_space : "bide",
                .base_dir = given->base_dir ? given->base_dir : ".",
                .client_name = "bide producer",
                .timeout_ms = timeout_ms});
    return code;
}

static bide_code open_configured_sender(
    const struct bide_config *config, struct bide_sender **ret_sender, bide_error *error)
{
    struct bide_configured_broker broker;
    const bide_spool spool = {
        config->spool.url, (bide_spool_mode)config->spool.mode, config->spool.max_bytes};
    bide_code code = bide_broker_configure(config, "producer", &broker, error);
    if (code != BIDE_OK)
        return code;
    code = spool.url
               ? bide_spool_open(&spool, broker.adapter, &broker.options, &broker.url, ret_sender, error)
               : broker.adapter->open_sender(&broker.options, ret_sender, error);
    bide_configured_broker_clear(&broker);
    return code;
}

bide_code bide_producer_open_configured(
    const struct bide_config *config, bide_producer **ret_producer, bide_error *error)
{
    struct bide_sender *sender;
    bide_code code = open_configured_sender(config, &sender, error);
    if (code == BIDE_OK)
        code = create(
            sender, "default", (size_t)config->worker.max_body, DEFAULT_TIMEOUT_MS, ret_producer, error);
    if (code == BIDE_OK)
        open_store(*ret_producer, config->broker, config->store,
            &(struct bide_store_options){.name_space = config->name_space,
                .base_dir = config->dir,
                .client_name = "bide producer",
                .timeout_ms = DEFAULT_TIMEOUT_MS});
    return code;
}

void bide_producer_close(bide_producer *producer)
{
    if (!producer)
        return;
    bide_sender_destroy(producer->sender);
    bide_store_destroy(producer->store);
    pthread_mutex_destroy(&producer->lock);
    bide_free(producer);
}

bide_code bide_producer_send_many(
    bide_producer *producer, bide_message *const *messages, size_t n, bide_sent *results, bide_error *error)
{
    bide_sent few[64], *all = results;
    if (n == 0)
        return BIDE_OK;
    if (!all)
        all = n <= sizeof few / sizeof few[0] ? few : bide_malloc(n * sizeof *all);
    if (!all)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    pthread_mutex_lock(&producer->lock);
    bide_code code = bide_producer_has_unique(messages, n)
                         ? bide_producer_send_unique(producer, messages, n, all, error)
                         : bide_producer_send_plain(producer, messages, n, all, error);
    pthread_mutex_unlock(&producer->lock);
    if (all != results && all != few)
        bide_free(all);
    return code;
}

bide_code bide_producer_send(bide_producer *producer, bide_message *message, bide_error *error)
{
    bide_message *const one[] = {message};
    return bide_producer_send_many(producer, one, 1, NULL, error);
}
