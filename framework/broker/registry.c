#include "broker/broker.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "broker/adapters.h"

static const struct bide_adapter *const adapters[] = {
    &bide_sqlite_adapter,
    &bide_rabbitmq_adapter,
    &bide_redis_adapter,
    &bide_memory_adapter,
    NULL,
};

const struct bide_adapter *const *bide_adapters(void)
{
    return adapters;
}

static bool serves(const struct bide_adapter *adapter, const char *scheme)
{
    for (size_t i = 0; adapter->schemes[i]; i++)
        if (strcmp(adapter->schemes[i], scheme) == 0)
            return true;
    return false;
}

static bide_code unknown_scheme(const struct bide_url *url, bide_error *error)
{
    struct bide_buffer known;
    bide_buffer_init(&known);
    for (size_t i = 0; adapters[i]; i++)
        for (size_t j = 0; adapters[i]->schemes[j]; j++)
            bide_buffer_format(&known, "%s%s:", known.size ? ", " : "", adapters[i]->schemes[j]);
    bide_fail(
        error, BIDE_E_CONFIG, "no broker for '%s': an URL begins with one of %s", url->redacted, known.bytes);
    bide_buffer_release(&known);
    return BIDE_E_CONFIG;
}

bide_code bide_adapter_find(
    const struct bide_url *url, const struct bide_adapter **ret_adapter, bide_error *error)
{
    for (size_t i = 0; adapters[i]; i++)
        if (serves(adapters[i], url->scheme)) {
            *ret_adapter = adapters[i];
            return BIDE_OK;
        }
    return unknown_scheme(url, error);
}

static bool may_stand_beside(const struct bide_adapter *adapter, const char *name)
{
    for (const char *const *option = adapter->beside_url; option && *option; option++)
        if (strcmp(*option, name) == 0)
            return true;
    return false;
}

bide_code bide_adapter_take_option(const struct bide_adapter *adapter, struct bide_url *url, const char *name,
    const char *value, bide_error *error)
{
    const char *said = bide_url_param(url, name);
    if (!value || !may_stand_beside(adapter, name) || (said && strcmp(said, value) == 0))
        return BIDE_OK;
    if (said)
        return bide_fail(error, BIDE_E_CONFIG,
            "%s is '%s', but the URL of the broker says %s=%s: remove one of them", name, value, name, said);
    return bide_url_add_param(url, name, value, error);
}

static const char *const reason_names[] = {
#define REASON_ROW(name, text) text,
    BIDE_REASONS(REASON_ROW)
#undef REASON_ROW
};

const char *bide_reason_name(enum bide_reason reason)
{
    size_t row = (size_t)reason;
    return row < sizeof reason_names / sizeof reason_names[0] ? reason_names[row] : "";
}

bool bide_reason_parse(const char *name, enum bide_reason *ret_reason)
{
    for (size_t i = 1; i < sizeof reason_names / sizeof reason_names[0]; i++)
        if (strcmp(reason_names[i], name) == 0) {
            *ret_reason = (enum bide_reason)i;
            return true;
        }
    return false;
}

void bide_broker_stats_clear(struct bide_broker_stats *stats)
{
    bide_free(stats->queues);
    bide_free(stats->rungs);
    bide_free(stats->workers);
    *stats = (struct bide_broker_stats){0};
}
