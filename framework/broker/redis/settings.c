#include "broker/joins.h"
#include "broker/redis/settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/units.h"
#include "broker/redis/scripts/scripts.h"
#include "broker/risk.h"

enum { CONNECT_TIMEOUT_MS = 3000, TIMEOUT_MS = 5000, LONGEST_TIMEOUT_S = 3600, DB_MAX = 1 << 20 };

/* A copy where there is something to copy; false where there is no memory. */
static bool keep(char **to, const char *text)
{
    return !text || (*to = bide_strdup(text)) != NULL;
}

static bide_code read_seconds(
    const struct bide_url *url, const char *name, int64_t *ret_ms, bide_error *error)
{
    const char *text = bide_url_param(url, name);
    if (!text)
        return BIDE_OK;
    char *end = NULL;
    double seconds = strtod(text, &end);
    if (end == text || *end || !isfinite(seconds) || seconds <= 0 || seconds > LONGEST_TIMEOUT_S)
        return bide_fail(error, BIDE_E_CONFIG,
            "%s: option '%s' is in seconds, more than 0 and at most %d, not '%s'", url->redacted, name,
            LONGEST_TIMEOUT_S, text);
    int64_t ms = (int64_t)ceil(seconds * 1000);
    *ret_ms = ms;
    return BIDE_OK;
}

static bide_code read_number(const struct bide_url *url, const char *what, const char *text, int max,
    int *ret_value, bide_error *error)
{
    int64_t value = 0;
    if (!text || !*text)
        return BIDE_OK;
    if (bide_parse_int(text, 0, max, &value, NULL) != BIDE_OK)
        return bide_fail(error, BIDE_E_CONFIG, "%s: %s is a whole number from 0 to %d, not '%s'",
            url->redacted, what, max, text);
    *ret_value = (int)value;
    return BIDE_OK;
}

static bide_code read_params(
    struct bide_redis_settings *settings, const struct bide_url *url, bide_error *error)
{
    static const char *const known[] = {
        "connect_timeout", "timeout", "wait", "db", "cacert", "cert", "key", "sni", NULL};
    bide_code code = bide_url_check_params(url, known, error);
    if (code == BIDE_OK)
        code = read_seconds(url, "connect_timeout", &settings->connect_timeout_ms, error);
    if (code == BIDE_OK)
        code = read_seconds(url, "timeout", &settings->timeout_ms, error);
    if (code == BIDE_OK)
        code = read_number(
            url, "option 'wait'", bide_url_param(url, "wait"), 64, &settings->wait_replicas, error);
    if (code == BIDE_OK)
        code = read_number(url, "option 'db'", bide_url_param(url, "db"), DB_MAX, &settings->db, error);
    return code;
}

static bide_code read_address(
    struct bide_redis_settings *settings, const struct bide_url *url, bide_error *error)
{
    if (strcmp(url->scheme, "redis+unix") == 0) {
        if (!url->path || !*url->path || url->n_hosts > 1 || (url->n_hosts == 1 && *url->hosts[0].name))
            return bide_fail(
                error, BIDE_E_CONFIG, "%s: write redis+unix:///path/of/the/socket", url->redacted);
        settings->unix_path = bide_asprintf("%s%s", *url->path == '/' ? "" : "/", url->path);
        return settings->unix_path ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < url->n_hosts; i++) {
        settings->hosts[i].port = url->hosts[i].port ? url->hosts[i].port : BIDE_REDIS_PORT;
        if (!keep(&settings->hosts[i].name, *url->hosts[i].name ? url->hosts[i].name : "127.0.0.1"))
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        settings->n_hosts++;
    }
    if (settings->n_hosts == 0)
        return bide_fail(
            error, BIDE_E_CONFIG, "%s: no host; write redis://host:%d/0", url->redacted, BIDE_REDIS_PORT);
    return read_number(url, "the database behind the slash", url->path, DB_MAX, &settings->db, error);
}

static bide_code check_tls(const struct bide_redis_settings *settings, bide_error *error)
{
#ifndef BIDE_HAVE_HIREDIS_SSL
    if (settings->tls)
        return bide_fail(error, BIDE_E_CONFIG,
            "%s: TLS (rediss://) needs hiredis 1.0 or newer with hiredis_ssl (Debian 13: libhiredis-dev), "
            "and this program was built without; rebuild there, or put a TLS tunnel in front and use "
            "redis://",
            settings->shown);
#endif
    if (!settings->tls && (settings->cacert || settings->cert || settings->key || settings->sni))
        return bide_fail(
            error, BIDE_E_CONFIG, "%s: cacert, cert, key and sni are for rediss:// only", settings->shown);
    if (!settings->cert != !settings->key)
        return bide_fail(error, BIDE_E_CONFIG, "%s: cert and key are given together", settings->shown);
    bide_code code = bide_broker_check_file("the CA's file ", settings->cacert, error);
    return code == BIDE_OK ? bide_broker_check_file("the key ", settings->key, error) : code;
}

static bool copy_texts(struct bide_redis_settings *settings, const struct bide_broker_options *options)
{
    const struct bide_url *url = options->url;
    bool fine = keep(&settings->shown, url->redacted) && keep(&settings->user, url->user) &&
                keep(&settings->password, url->password) &&
                keep(&settings->cacert, bide_url_param(url, "cacert")) &&
                keep(&settings->cert, bide_url_param(url, "cert")) &&
                keep(&settings->key, bide_url_param(url, "key")) &&
                keep(&settings->sni, bide_url_param(url, "sni")) &&
                keep(&settings->name_space, options->name_space) &&
                keep(&settings->client_name, options->client_name ? options->client_name : "bide");
    settings->queues = bide_calloc(options->n_queues + 1, sizeof *settings->queues);
    fine = fine && settings->queues;
    for (size_t i = 0; fine && i < options->n_queues; i++) {
        fine = keep(&settings->queues[i], options->queues[i]);
        settings->n_queues += fine;
    }
    return fine;
}

bide_code bide_redis_settings_create(
    const struct bide_broker_options *options, struct bide_redis_settings **ret_settings, bide_error *error)
{
    struct bide_redis_settings *settings = bide_calloc(1, sizeof *settings);
    if (!settings)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    settings->scripts = &bide_redis_broker_scripts;
    settings->tls = strcmp(options->url->scheme, "rediss") == 0;
    settings->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    settings->timeout_ms = TIMEOUT_MS;
    settings->call_timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    settings->max_body = options->max_body;
    settings->max_in_flight = options->max_in_flight ? options->max_in_flight : SIZE_MAX;
    settings->clock = options->clock;
    bide_code code = BIDE_OK;
    if (!copy_texts(settings, options))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK)
        code = read_params(settings, options->url, error);
    if (code == BIDE_OK)
        code = read_address(settings, options->url, error);
    if (code == BIDE_OK)
        code = check_tls(settings, error);
    if (code == BIDE_OK)
        *ret_settings = settings;
    else
        bide_redis_settings_destroy(settings);
    return code;
}

void bide_redis_settings_destroy(struct bide_redis_settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < settings->n_hosts; i++)
        bide_free(settings->hosts[i].name);
    for (size_t i = 0; i < settings->n_queues; i++)
        bide_free(settings->queues[i]);
    char *texts[] = {settings->unix_path, settings->cacert, settings->cert, settings->key, settings->sni,
        settings->user, settings->password, settings->shown, settings->name_space, settings->client_name};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bide_free(texts[i]);
    bide_free(settings->queues);
    bide_joins_free(settings->joins);
    bide_free(settings);
}
