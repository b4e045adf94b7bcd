#include "store/configured.h"

#include <stdio.h>
#include <unistd.h>

enum { TIMEOUT_MS = 10 * 1000 };

static bide_code find(
    const struct bide_config *config, struct bide_configured_store *store, bide_error *error)
{
    bide_code code = bide_url_parse(config->store ? config->store : config->broker, &store->url, error);
    if (code != BIDE_OK)
        return code;
    code = bide_store_find(&store->url, &store->type, error);
    return config->store ? code : BIDE_OK; /* a broker that cannot be a store is no failure */
}

static void fill(const struct bide_config *config, const char *who, struct bide_configured_store *store)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    snprintf(store->client_name, sizeof store->client_name, "bide %s %s:%d", who, host, (int)getpid());
    store->options = (struct bide_store_options){
        .url = &store->url,
        .name_space = config->name_space,
        .base_dir = config->dir,
        .client_name = store->client_name,
        .timeout_ms = TIMEOUT_MS,
        .clock = bide_clock_system(),
    };
}

bide_code bide_store_configure(const struct bide_config *config, const char *who,
    struct bide_configured_store *ret_store, bide_error *error)
{
    *ret_store = (struct bide_configured_store){0};
    bide_code code = find(config, ret_store, error);
    if (code == BIDE_OK)
        fill(config, who, ret_store);
    else
        bide_configured_store_clear(ret_store);
    return code;
}

void bide_configured_store_clear(struct bide_configured_store *store)
{
    bide_url_clear(&store->url);
    *store = (struct bide_configured_store){0};
}

bide_code bide_store_refuse(const char *feature, bide_error *error)
{
    return bide_fail(error, BIDE_E_CONFIG,
        "%s needs a store, and this broker cannot be one: name one in the configuration, store = "
        "\"redis://host:6379/1\"; or store = \"sqlite:/var/lib/bide/store.db\"; (docs/store.md)",
        feature);
}

bide_code bide_store_open_for(const char *broker_url, const char *store_url,
    const struct bide_store_options *given, const char *feature, struct bide_store **ret_store,
    bide_error *error)
{
    struct bide_store_options options = *given;
    const struct bide_store_type *type;
    struct bide_url url;
    bide_code code = bide_url_parse(store_url ? store_url : broker_url, &url, error);
    if (code != BIDE_OK)
        return code;
    options.url = &url;
    options.clock = bide_clock_system();
    if (!store_url && bide_store_find(&url, &type, error) != BIDE_OK)
        code = bide_store_refuse(feature, error);
    else
        code = bide_store_open(&options, ret_store, error);
    bide_url_clear(&url);
    return code;
}

/* The first feature that needs a store, as people call it; false: none does. */
static bool first_need(const struct bide_config *config, char *to, size_t size)
{
    for (size_t i = 0; i < config->n_handlers; i++) {
        const struct bide_handler_config *handler = &config->handlers[i];
        if (handler->once_ms > 0 || handler->limited_by)
            return snprintf(to, size, "`%s` of handler '%s'", handler->once_ms > 0 ? "once" : "limited_by",
                       handler->type) > 0;
    }
    return config->schedules && snprintf(to, size, "`schedules`") > 0;
}

bide_code bide_store_require(const struct bide_config *config, const struct bide_configured_store *store,
    bool *ret_needs, bide_error *error)
{
    char feature[160];
    bool needs = first_need(config, feature, sizeof feature);
    if (ret_needs)
        *ret_needs = needs;
    return !needs || store->type ? BIDE_OK : bide_store_refuse(feature, error);
}
