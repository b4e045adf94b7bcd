#include <limits.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "relay/source.h"

char *bide_source_path(const char *dir, const char *path)
{
    char *named = *path == '/' ? bide_strdup(path) : bide_asprintf("%s/%s", dir, path);
    char real[PATH_MAX];
    if (!named || !realpath(named, real))
        return named;
    bide_free(named);
    return bide_strdup(real);
}

/* What the configuration says beside its own broker's URL holds for this one, unless this one says it itself.
 */
static void drop_options(struct bide_config *config, const struct bide_url *url)
{
    if (bide_url_param(url, "queue_type"))
        config->queue_type = NULL;
    if (bide_url_param(url, "ladder_shards"))
        config->ladder_shards = 0;
}

bide_code bide_relay_end_open(
    const struct bide_config *config, const char *url, struct bide_relay_end *ret_end, bide_error *error)
{
    struct bide_url parsed = {0};
    *ret_end = (struct bide_relay_end){.config = *config};
    ret_end->config.broker = bide_strdup(url);
    bide_code code = ret_end->config.broker ? bide_url_parse(url, &parsed, error)
                                            : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    drop_options(&ret_end->config, &parsed);
    bide_url_clear(&parsed);
    if (code == BIDE_OK)
        code = bide_broker_configure(&ret_end->config, "relay", &ret_end->broker, error);
    if (code == BIDE_OK && ret_end->broker.adapter->one_process)
        code = bide_fail(error, BIDE_E_CONFIG, "%s: what is sent there would be gone as the relay ends",
            ret_end->broker.url.redacted);
    if (code != BIDE_OK)
        bide_relay_end_close(ret_end);
    return code;
}

void bide_relay_end_close(struct bide_relay_end *end)
{
    bide_configured_broker_clear(&end->broker);
    bide_free(end->config.broker);
    end->config.broker = NULL;
}
