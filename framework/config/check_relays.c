#include <string.h>

#include "base/alloc.h"
#include "base/url.h"
#include "config/read.h"

static const config_setting_t *place(const config_setting_t *at, const char *key)
{
    const config_setting_t *member = config_setting_get_member(at, key);
    return member ? member : at;
}

static bide_code check_url(
    const struct bide_reader *reader, const config_setting_t *at, const char *key, const char *text)
{
    struct bide_url url = {0};
    bide_error why;
    if (strstr(text, "${")) /* not set: reported where a worker starts */
        return BIDE_OK;
    bide_code code = bide_url_parse(text, &url, &why);
    bide_url_clear(&url);
    if (code == BIDE_E_NOMEM)
        return bide_reader_nomem(reader);
    return code == BIDE_OK ? BIDE_OK : bide_reader_fail(reader, place(at, key), "%s: %s", key, why.text);
}

static bide_code check_relay(
    const struct bide_reader *reader, const config_setting_t *at, struct bide_config *config, size_t i)
{
    struct bide_relay_config *relay = &config->relays[i];
    if (!relay->name && !(relay->name = bide_asprintf("relay%zu", i + 1)))
        return bide_reader_nomem(reader);
    for (size_t j = 0; j < i; j++)
        if (strcmp(config->relays[j].name, relay->name) == 0)
            return bide_reader_fail(reader, at, "relay '%s' is listed twice", relay->name);
    if (strcmp(relay->from, relay->to) == 0)
        return bide_reader_fail(
            reader, place(at, "to"), "relay '%s' would carry messages to where they are", relay->name);
    bide_code code = check_url(reader, at, "from", relay->from);
    return code == BIDE_OK ? check_url(reader, at, "to", relay->to) : code;
}

bide_code bide_config_check_relays(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < config->n_relays && code == BIDE_OK; i++)
        code = check_relay(
            reader, config_setting_get_elem(config_lookup(file, "relays"), (unsigned)i), config, i);
    return code;
}
