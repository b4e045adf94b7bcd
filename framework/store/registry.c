#include <string.h>

#include "base/buffer.h"
#include "store/stores.h"

static const struct bide_store_type *const types[] = {&bide_sqlite_store, &bide_redis_store};

enum { N_TYPES = sizeof types / sizeof types[0] };

static bool serves(const struct bide_store_type *type, const char *scheme)
{
    for (size_t i = 0; type->schemes[i]; i++)
        if (strcmp(type->schemes[i], scheme) == 0)
            return true;
    return false;
}

static bide_code unknown_scheme(const struct bide_url *url, bide_error *error)
{
    struct bide_buffer known;
    bide_buffer_init(&known);
    for (size_t i = 0; i < N_TYPES; i++)
        for (size_t j = 0; types[i]->schemes[j]; j++)
            bide_buffer_format(&known, "%s%s:", known.size ? ", " : "", types[i]->schemes[j]);
    bide_fail(error, BIDE_E_CONFIG, "'%s' cannot be a store: the URL of a store begins with one of %s",
        url->redacted, known.bytes);
    bide_buffer_release(&known);
    return BIDE_E_CONFIG;
}

bide_code bide_store_find(
    const struct bide_url *url, const struct bide_store_type **ret_type, bide_error *error)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (serves(types[i], url->scheme)) {
            *ret_type = types[i];
            return BIDE_OK;
        }
    return unknown_scheme(url, error);
}

bide_code bide_store_open(
    const struct bide_store_options *options, struct bide_store **ret_store, bide_error *error)
{
    const struct bide_store_type *type;
    bide_code code = bide_store_find(options->url, &type, error);
    return code == BIDE_OK ? type->open(options, ret_store, error) : code;
}
