#include "base/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/suggest.h"
#include "base/units.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A decoded copy; NULL for a bad escape, an encoded NUL, or no memory. */
static char *decode(const char *text, size_t size)
{
    char *copy = bide_malloc(size + 1), *to = copy;
    if (!copy)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '%') {
            *to++ = text[i];
            continue;
        }
        int first = i + 1 < size ? hex_digit(text[i + 1]) : -1;
        int second = i + 2 < size ? hex_digit(text[i + 2]) : -1;
        if (first < 0 || second < 0 || (first == 0 && second == 0)) {
            bide_free(copy);
            return NULL;
        }
        *to++ = (char)(first * 16 + second);
        i += 2;
    }
    *to = '\0';
    return copy;
}

static int parse_user(struct bide_url *url, const char *text, size_t size)
{
    const char *colon = memchr(text, ':', size);
    size_t user_size = colon ? (size_t)(colon - text) : size;
    if (!(url->user = decode(text, user_size)))
        return 0;
    return !colon || (url->password = decode(colon + 1, size - user_size - 1)) != NULL;
}

static int parse_port(const char *text, size_t size, int *ret_port)
{
    char digits[8];
    int64_t port;
    if (size == 0 || size >= sizeof digits)
        return 0;
    memcpy(digits, text, size);
    digits[size] = '\0';
    if (bide_parse_int(digits, 1, 65535, &port, NULL) != BIDE_OK)
        return 0;
    *ret_port = (int)port;
    return 1;
}

static int parse_host(struct bide_url *url, const char *text, size_t size)
{
    if (url->n_hosts == BIDE_URL_HOSTS_MAX)
        return 0;
    struct bide_url_host *host = &url->hosts[url->n_hosts];
    const char *name = text, *name_end, *end = text + size;
    if (size && *text == '[') {
        name++;
        name_end = memchr(text, ']', size);
        if (!name_end)
            return 0;
        text = name_end + 1;
    } else {
        const char *colon = memchr(text, ':', size);
        text = name_end = colon ? colon : end;
    }
    if (text < end && (*text != ':' || !parse_port(text + 1, (size_t)(end - text) - 1, &host->port)))
        return 0;
    if (!(host->name = decode(name, (size_t)(name_end - name))))
        return 0;
    url->n_hosts++;
    return 1;
}

static int parse_authority(struct bide_url *url, const char *text, size_t size)
{
    const char *end = text + size, *at = NULL;
    for (const char *c = text; c < end; c++)
        if (*c == '@')
            at = c;
    if (at && !parse_user(url, text, (size_t)(at - text)))
        return 0;
    text = at ? at + 1 : text;
    while (text < end) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *host_end = comma ? comma : end;
        if (host_end == text || !parse_host(url, text, (size_t)(host_end - text)))
            return 0;
        text = comma ? comma + 1 : end;
    }
    return 1;
}

static int parse_params(struct bide_url *url, const char *text)
{
    while (*text) {
        size_t size = strcspn(text, "&");
        const char *equals = memchr(text, '=', size);
        size_t name_size = equals ? (size_t)(equals - text) : size;
        if (url->n_params == BIDE_URL_PARAMS_MAX || name_size == 0)
            return 0;
        struct bide_url_param *param = &url->params[url->n_params++];
        param->name = decode(text, name_size);
        param->value = equals ? decode(equals + 1, size - name_size - 1) : bide_strdup("");
        if (!param->name || !param->value)
            return 0;
        text += size + (text[size] == '&');
    }
    return 1;
}

static int parse_scheme(struct bide_url *url, const char *text, size_t size)
{
    if (size == 0 || !(url->scheme = bide_strndup(text, size)))
        return 0;
    for (char *c = url->scheme; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
        if (!isalnum((unsigned char)*c) && !strchr("+-.", *c))
            return 0;
    }
    return 1;
}

static int parse(struct bide_url *url, const char *text)
{
    const char *colon = strchr(text, ':');
    if (!colon || !parse_scheme(url, text, (size_t)(colon - text)))
        return 0;
    text = colon + 1;
    size_t size = strcspn(text, "?");
    if (strncmp(text, "//", 2) == 0) {
        size_t authority = strcspn(text + 2, "/?");
        if (!parse_authority(url, text + 2, authority))
            return 0;
        const char *slash = text + 2 + authority;
        if (*slash == '/' && !(url->path = decode(slash + 1, size - authority - 3)))
            return 0;
    } else if (!(url->path = decode(text, size))) {
        return 0;
    }
    return text[size] != '?' || parse_params(url, text + size + 1);
}

char *bide_url_redact(const char *text)
{
    const char *slashes = strstr(text, "//");
    const char *user = slashes ? slashes + 2 : text;
    const char *end = user + strcspn(user, "?"), *at = NULL;
    for (const char *c = user; c < end; c++)
        if (*c == '@')
            at = c;
    const char *colon = at ? memchr(user, ':', (size_t)(at - user)) : NULL;
    if (!colon)
        return bide_strdup(text);
    return bide_asprintf("%.*s:***%s", (int)(colon - text), text, at);
}

bide_code bide_url_parse(const char *text, struct bide_url *ret_url, bide_error *error)
{
    struct bide_url url = {0};
    url.redacted = bide_url_redact(text);
    if (!url.redacted)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (!parse(&url, text)) {
        bide_fail(error, BIDE_E_CONFIG,
            "'%s' is not a broker's URL: write for example sqlite:bide.db, amqp://user:password@host/vhost "
            "or "
            "redis://host:6379/0",
            url.redacted);
        bide_url_clear(&url);
        return BIDE_E_CONFIG;
    }
    *ret_url = url;
    return BIDE_OK;
}

void bide_url_clear(struct bide_url *url)
{
    bide_free(url->scheme);
    bide_free(url->user);
    bide_free(url->password);
    bide_free(url->path);
    bide_free(url->redacted);
    for (size_t i = 0; i < BIDE_URL_HOSTS_MAX; i++)
        bide_free(url->hosts[i].name);
    for (size_t i = 0; i < BIDE_URL_PARAMS_MAX; i++) {
        bide_free(url->params[i].name);
        bide_free(url->params[i].value);
    }
    *url = (struct bide_url){0};
}

const char *bide_url_param(const struct bide_url *url, const char *name)
{
    for (size_t i = url->n_params; i-- > 0;)
        if (strcmp(url->params[i].name, name) == 0)
            return url->params[i].value;
    return NULL;
}

bide_code bide_url_check_params(const struct bide_url *url, const char *const known[], bide_error *error)
{
    for (size_t i = 0; i < url->n_params; i++) {
        char hint[BIDE_SUGGEST_TEXT];
        const char *name = url->params[i].name;
        size_t n = 0;
        while (known[n] && strcmp(known[n], name) != 0)
            n++;
        if (!known[n])
            return bide_fail(error, BIDE_E_CONFIG, "unknown option '%s' in %s%s", name, url->redacted,
                bide_suggest(name, known, hint));
    }
    return BIDE_OK;
}
