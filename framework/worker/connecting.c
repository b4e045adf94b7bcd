#include "worker/connecting.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "broker/reconnect.h"

enum { CONNECT_TIMEOUT_MS = 10 * 1000 };

/* Who fixes the prefetch wants the rest to be left for others, or in the broker: also what is nearly due. */
static size_t early_max(const struct bide_worker_config *config)
{
    if (config->prefetch == 0)
        return 0;
    return (size_t)(config->prefetch > config->threads ? config->prefetch : config->threads);
}

static bide_code connect_once(struct bide_intake *intake, const struct bide_adapter *adapter,
    const struct bide_url *url, bide_error *error)
{
    const struct bide_config *config = intake->config;
    char name[320], host[256] = "";
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "bide worker %s:%d", host, (int)getpid());
    const char **queues = bide_calloc(config->n_queues, sizeof *queues);
    if (!queues)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < config->n_queues; i++)
        queues[i] = config->queues[i].name;
    const struct bide_broker_options options = {
        .url = url,
        .name_space = config->name_space,
        .base_dir = config->dir,
        .queue_type = config->classic_queues ? BIDE_QUEUE_CLASSIC : BIDE_QUEUE_QUORUM,
        .queues = queues,
        .n_queues = config->n_queues,
        .client_name = name,
        .timeout_ms = CONNECT_TIMEOUT_MS,
        .max_body = (size_t)config->worker.max_body,
        .max_in_flight = (size_t)config->worker.max_in_flight,
        .early_max = early_max(&config->worker),
        .clock = intake->clock,
    };
    bide_code code = adapter->open_receiver(&options, &intake->receiver, error);
    bide_free(queues);
    return code;
}

/* What somebody else may mend while this worker waits; a configuration does not mend itself. */
static bool may_pass(bide_code code)
{
    return code == BIDE_E_BROKER || code == BIDE_E_TIMEOUT;
}

static void pause_or_be_stopped(struct bide_intake *intake, const struct bide_reconnect *reconnect)
{
    struct pollfd wakeup = {.fd = intake->wakeup.fd, .events = POLLIN};
    int64_t wait_us = bide_reconnect_wait_us(reconnect, bide_mono_us(intake->clock));
    if (poll(&wakeup, 1, (int)(wait_us / 1000) + 1) > 0)
        bide_wakeup_drain(&intake->wakeup);
}

bide_code bide_worker_connect(struct bide_intake *intake, const struct bide_adapter *adapter,
    const struct bide_url *url, bool wait, bide_error *error)
{
    struct bide_reconnect reconnect = {0};
    bide_error failure = {0};
    bide_code code;
    while ((code = connect_once(intake, adapter, url, &failure)) != BIDE_OK && wait && may_pass(code)) {
        int64_t now_us = bide_mono_us(intake->clock);
        if (reconnect.failures == 0)
            bide_log(BIDE_LOG_WARN, "broker out of reach: the worker waits for it",
                BIDE_STR("broker", url->redacted), BIDE_STR("error", failure.text));
        bide_reconnect_failed(&reconnect, now_us);
        if (intake->supervised)
            atomic_store_explicit(&intake->supervised->process->beat_ms, now_us / 1000, memory_order_relaxed);
        while (!bide_reconnect_is_due(&reconnect, bide_mono_us(intake->clock)) &&
               atomic_load(&intake->stops) == 0)
            pause_or_be_stopped(intake, &reconnect);
        if (atomic_load(&intake->stops) > 0)
            return BIDE_OK;
    }
    return code == BIDE_OK ? BIDE_OK : bide_fail(error, code, "%s", failure.text);
}
