#include "bide/producer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/killpoint.h"
#include "base/alloc.h"
#include "broker/configured.h"
#include "message/message.h"
#include "producer/configured.h"

enum { DEFAULT_MAX_BODY = 1024 * 1024, DEFAULT_TIMEOUT_MS = 10 * 1000 };

struct bide_producer {
    pthread_mutex_t lock; /* held while sending: a sender is used by one thread at a time */
    struct bide_sender *sender;
    const struct bide_clock *clock;
    char default_queue[BIDE_NAME_MAX + 1];
    size_t max_body;
};

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

static bide_code open_sender(const char *url_text, const bide_producer_options *given,
    struct bide_sender **ret_sender, bide_error *error)
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
        code = adapter->open_sender(&options, ret_sender, error);
    bide_url_clear(&url);
    return code;
}

/* Takes over the sender, also after a failure. */
static bide_code create(struct bide_sender *sender, const char *queue, size_t max_body,
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
    memcpy(producer->default_queue, queue, strlen(queue) + 1);
    *ret_producer = producer;
    return BIDE_OK;
}

bide_code bide_producer_open(
    const char *url, const bide_producer_options *options, bide_producer **ret_producer, bide_error *error)
{
    const bide_producer_options none = {0};
    const bide_producer_options *given = options ? options : &none;
    const char *queue = given->default_queue ? given->default_queue : "default";
    struct bide_sender *sender;
    if (!bide_queue_name_valid(queue))
        return bide_fail(error, BIDE_E_CONFIG, "'%.100s' is not a queue name", queue);
    bide_code code = open_sender(url, given, &sender, error);
    size_t max_body = given->max_body ? given->max_body : DEFAULT_MAX_BODY;
    return code == BIDE_OK ? create(sender, queue, max_body, ret_producer, error) : code;
}

bide_code bide_producer_open_configured(
    const struct bide_config *config, bide_producer **ret_producer, bide_error *error)
{
    struct bide_configured_broker broker;
    struct bide_sender *sender;
    bide_code code = bide_broker_configure(config, "producer", &broker, error);
    if (code != BIDE_OK)
        return code;
    code = broker.adapter->open_sender(&broker.options, &sender, error);
    bide_configured_broker_clear(&broker);
    return code == BIDE_OK ? create(sender, "default", (size_t)config->worker.max_body, ret_producer, error)
                           : code;
}

void bide_producer_close(bide_producer *producer)
{
    if (!producer)
        return;
    bide_sender_destroy(producer->sender);
    pthread_mutex_destroy(&producer->lock);
    bide_free(producer);
}

static bide_code prepare(const struct bide_producer *producer, bide_message *message, bide_error *error)
{
    if (message->body_size > producer->max_body)
        return bide_fail(error, BIDE_E_DATA,
            "message '%s': the body has %zu bytes, more than the maximum of %zu", message->id,
            message->body_size, producer->max_body);
    return bide_message_stamp(message, producer->default_queue, producer->clock, error);
}

static bool is_failure(bide_code code)
{
    return code != BIDE_OK && code != BIDE_E_DATA;
}

/* Sends the n messages that begin at `messages`. before: BIDE_OK, or BIDE_E_DATA with the first refusal in
 * *error. Keeps that refusal, unless the broker fails: that is worse, because good messages do not arrive
 * either. */
static bide_code send_run(struct bide_producer *producer, bide_message *const *messages, size_t n,
    bide_sent *results, bide_code before, bide_error *error)
{
    bide_error later;
    if (n == 0)
        return before;
    BIDE_KILL_POINT("send/begin");
    bide_code code = bide_sender_send(producer->sender, messages, n, results, &later);
    BIDE_KILL_POINT("send/confirmed");
    if (is_failure(code) || (code != BIDE_OK && before == BIDE_OK))
        return bide_fail(error, code, "%s", later.text);
    return before;
}

/* A message that the producer refuses splits the batch; the messages before and behind it are still sent.
 * After a failure of the broker nothing more is tried. */
static bide_code send_locked(struct bide_producer *producer, bide_message *const *messages, size_t n,
    bide_sent *results, bide_error *error)
{
    bide_code code = BIDE_OK;
    size_t begin = 0;
    for (size_t i = 0; i < n; i++)
        results[i] = BIDE_SENT_UNKNOWN;
    for (size_t i = 0; i < n; i++) {
        bide_error why;
        bide_code refused = prepare(producer, messages[i], &why);
        if (refused == BIDE_OK)
            continue;
        if (code == BIDE_OK || is_failure(refused))
            code = bide_fail(error, refused, "%s", why.text);
        if (!is_failure(code))
            code = send_run(producer, messages + begin, i - begin, results + begin, code, error);
        if (is_failure(code))
            return code;
        results[i] = BIDE_SENT_REFUSED;
        begin = i + 1;
    }
    return send_run(producer, messages + begin, n - begin, results + begin, code, error);
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
    bide_code code = send_locked(producer, messages, n, all, error);
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
