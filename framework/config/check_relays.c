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

/* Of the messages of two relays, which do both carry? *queue: NULL for all. False: none. */
static bool narrow(const char **queue, const struct bide_relay_config *to)
{
    if (!*queue)
        *queue = to->queue;
    return !*queue || !to->queue || strcmp(*queue, to->queue) == 0;
}

/* Do messages of this queue (NULL: of all) come from `at` to where `first` takes them? */
static bool comes_back(const struct bide_config *config, const struct bide_relay_config *first,
    const char *at, const char *queue, size_t steps)
{
    if (strcmp(at, first->from) == 0)
        return true;
    for (size_t i = 0; steps > 0 && i < config->n_relays; i++) {
        const struct bide_relay_config *next = &config->relays[i];
        const char *both = queue;
        if (strcmp(next->from, at) == 0 && narrow(&both, next) &&
            comes_back(config, first, next->to, both, steps - 1))
            return true;
    }
    return false;
}

/* Against the ones before it: each message has one relay, and is carried on, but never back. */
static bide_code check_together(const struct bide_reader *reader, const config_setting_t *at,
    const struct bide_config *config, const struct bide_relay_config *relay)
{
    for (const struct bide_relay_config *other = config->relays; other < relay; other++) {
        const char *both = relay->queue;
        if (strcmp(other->name, relay->name) == 0)
            return bide_reader_fail(reader, at, "relay '%s' is listed twice", relay->name);
        if (strcmp(other->from, relay->from) == 0 && narrow(&both, other))
            return bide_reader_fail(reader, place(at, "from"),
                "relays '%s' and '%s' would carry the same messages: give each a `queue` of its own",
                other->name, relay->name);
    }
    if (strcmp(relay->from, relay->to) == 0)
        return bide_reader_fail(
            reader, place(at, "to"), "relay '%s' would carry messages to where they are", relay->name);
    if (comes_back(config, relay, relay->to, relay->queue, config->n_relays))
        return bide_reader_fail(reader, place(at, "to"),
            "what relay '%s' carries would come back by others, for ever: give each a `queue` of its own",
            relay->name);
    return BIDE_OK;
}

static bide_code check_relay(
    const struct bide_reader *reader, const config_setting_t *at, struct bide_config *config, size_t i)
{
    struct bide_relay_config *relay = &config->relays[i];
    if (!relay->name && !(relay->name = bide_asprintf("relay%zu", i + 1)))
        return bide_reader_nomem(reader);
    bide_code code = check_url(reader, at, "from", relay->from);
    if (code == BIDE_OK)
        code = check_url(reader, at, "to", relay->to);
    return code == BIDE_OK ? check_together(reader, at, config, relay) : code;
}

/* The spool is one source more. */
static bide_code add_spool(const struct bide_reader *reader, const config_t *file, struct bide_config *config)
{
    const config_setting_t *at = config_lookup(file, "spool");
    const struct bide_spool_config *spool = &config->spool;
    if (!spool->url)
        return at ? bide_reader_fail(reader, at, "spool: `url` is missing: \"sqlite:FILE\"") : BIDE_OK;
    bide_code code = check_url(reader, at, "url", spool->url);
    if (code == BIDE_OK && strncmp(spool->url, "sqlite:", 7) != 0)
        code = bide_reader_fail(
            reader, place(at, "url"), "spool: '%s' is no file: write sqlite:FILE", spool->url);
    if (code != BIDE_OK)
        return code;
    struct bide_relay_config *relays =
        bide_realloc(config->relays, (config->n_relays + 1) * sizeof *config->relays);
    if (!relays)
        return bide_reader_nomem(reader);
    config->relays = relays;
    relays[config->n_relays] = (struct bide_relay_config){.name = bide_strdup(BIDE_SPOOL_RELAY),
        .from = bide_strdup(spool->url),
        .to = bide_strdup(config->broker)};
    const struct bide_relay_config *relay = &relays[config->n_relays++];
    return relay->name && relay->from && relay->to ? check_together(reader, place(at, "url"), config, relay)
                                                   : bide_reader_nomem(reader);
}

bide_code bide_config_check_relays(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < config->n_relays && code == BIDE_OK; i++)
        code = check_relay(
            reader, config_setting_get_elem(config_lookup(file, "relays"), (unsigned)i), config, i);
    return code == BIDE_OK ? add_spool(reader, file, config) : code;
}
