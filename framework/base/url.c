#include "base/url.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/suggest.h"
#include "base/units.h"

/* The parsing functions return BIDE_OK, BIDE_E_NOMEM, or BIDE_E_CONFIG if the text is no URL; bide_url_clear
 * frees what they have put into the URL until then. Only ASCII letters count as letters, in any locale. */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes percent-encoding in place; false for a bad escape or an encoded NUL. */
static bool decode_escapes(char *text)
{
    char *to = text;
    for (; *text; text++) {
        if (*text != '%') {
            *to++ = *text;
            continue;
        }
        int first = hex_digit(text[1]);
        int second = first < 0 ? -1 : hex_digit(text[2]);
        if (second < 0 || (first == 0 && second == 0))
            return false;
        *to++ = (char)(first * 16 + second);
        text += 2;
    }
    *to = '\0';
    return true;
}

static bide_code decode(const char *text, size_t size, char **ret_copy)
{
    char *copy = bide_strndup(text, size);
    if (!copy)
        return BIDE_E_NOMEM;
    if (!decode_escapes(copy)) {
        bide_free(copy);
        return BIDE_E_CONFIG;
    }
    *ret_copy = copy;
    return BIDE_OK;
}

static bide_code parse_user(struct bide_url *url, const char *text, size_t size)
{
    const char *colon = memchr(text, ':', size);
    size_t user_size = colon ? (size_t)(colon - text) : size;
    bide_code code = decode(text, user_size, &url->user);
    if (code == BIDE_OK && colon)
        code = decode(colon + 1, size - user_size - 1, &url->password);
    return code;
}

static bool parse_port(const char *text, size_t size, int *ret_port)
{
    char digits[8];
    int64_t port;
    if (size == 0 || size >= sizeof digits)
        return false;
    memcpy(digits, text, size);
    digits[size] = '\0';
    if (bide_parse_int(digits, 1, 65535, &port, NULL) != BIDE_OK)
        return false;
    *ret_port = (int)port;
    return true;
}

static bide_code parse_host(struct bide_url *url, const char *text, size_t size)
{
    if (url->n_hosts == BIDE_URL_HOSTS_MAX)
        return BIDE_E_CONFIG;
    struct bide_url_host *host = &url->hosts[url->n_hosts];
    const char *name = text, *name_end, *end = text + size;
    if (size && *text == '[') {
        name++;
        name_end = memchr(text, ']', size);
        if (!name_end)
            return BIDE_E_CONFIG;
        text = name_end + 1;
    } else {
        const char *colon = memchr(text, ':', size);
        text = name_end = colon ? colon : end;
    }
    if (name_end == name)
        return BIDE_E_CONFIG;
    if (text < end && (*text != ':' || !parse_port(text + 1, (size_t)(end - text) - 1, &host->port)))
        return BIDE_E_CONFIG;
    bide_code code = decode(name, (size_t)(name_end - name), &host->name);
    if (code == BIDE_OK)
        url->n_hosts++;
    return code;
}

static bide_code parse_authority(struct bide_url *url, const char *text, size_t size)
{
    const char *end = text + size, *at = memrchr(text, '@', size);
    bide_code code = at ? parse_user(url, text, (size_t)(at - text)) : BIDE_OK;
    text = at ? at + 1 : text;
    while (code == BIDE_OK && text < end) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *host_end = comma ? comma : end;
        code = comma && comma + 1 == end ? BIDE_E_CONFIG : parse_host(url, text, (size_t)(host_end - text));
        text = comma ? comma + 1 : end;
    }
    return code;
}

static bide_code parse_param(struct bide_url *url, const char *text, size_t size)
{
    const char *equals = memchr(text, '=', size);
    size_t name_size = equals ? (size_t)(equals - text) : size;
    if (url->n_params == BIDE_URL_PARAMS_MAX || name_size == 0)
        return BIDE_E_CONFIG;
    struct bide_url_param *param = &url->params[url->n_params++];
    bide_code code = decode(text, name_size, &param->name);
    if (code != BIDE_OK)
        return code;
    return equals ? decode(equals + 1, size - name_size - 1, &param->value) : decode("", 0, &param->value);
}

static bide_code parse_params(struct bide_url *url, const char *text)
{
    bide_code code = BIDE_OK;
    while (code == BIDE_OK && *text) {
        size_t size = strcspn(text, "&");
        code = parse_param(url, text, size);
        text += size + (text[size] == '&');
    }
    return code;
}

static bide_code parse_scheme(struct bide_url *url, const char *text, size_t size)
{
    url->scheme = bide_strndup(text, size);
    if (!url->scheme)
        return BIDE_E_NOMEM;
    for (char *c = url->scheme; *c; c++) {
        *c = lower(*c);
        bool letter = *c >= 'a' && *c <= 'z';
        if (!letter && (c == url->scheme || !strchr("0123456789+-.", *c)))
            return BIDE_E_CONFIG;
    }
    return size ? BIDE_OK : BIDE_E_CONFIG;
}

static bide_code parse(struct bide_url *url, const char *text)
{
    const char *colon = strchr(text, ':');
    bide_code code = colon ? parse_scheme(url, text, (size_t)(colon - text)) : BIDE_E_CONFIG;
    if (code != BIDE_OK)
        return code;
    const char *path = colon + 1;
    if (strncmp(path, "//", 2) == 0) {
        size_t size = strcspn(path + 2, "/?");
        code = parse_authority(url, path + 2, size);
        path += 2 + size;
        if (*path != '/')
            path = NULL;
        else
            path++;
    }
    const char *query = strchr(colon, '?');
    if (code == BIDE_OK && path)
        code = decode(path, query ? (size_t)(query - path) : strlen(path), &url->path);
    return code == BIDE_OK && query ? parse_params(url, query + 1) : code;
}

/* Replaces the values of a query in place by at most three stars each. */
static void hide_values(char *text)
{
    char *to = strchr(text, '?');
    if (!to)
        return;
    for (const char *from = to; *from;) {
        *to++ = *from;
        if (*from++ != '=')
            continue;
        size_t size = strcspn(from, "&");
        for (size_t i = 0; i < size && i < 3; i++)
            *to++ = '*';
        from += size;
    }
    *to = '\0';
}

static char *hide_password(const char *text)
{
    const char *colon = strchr(text, ':'), *at = strrchr(text, '@');
    const char *user = text;
    if (colon && strncmp(colon, "://", 3) == 0)
        user = colon + 3;
    else if (strncmp(text, "//", 2) == 0)
        user = text + 2;
    colon = at && at > user ? memchr(user, ':', (size_t)(at - user)) : NULL;
    if (!colon)
        return bide_strdup(text);
    return bide_asprintf("%.*s:***%s", (int)(colon - text), text, at);
}

char *bide_url_redact(const char *text)
{
    char *shown = hide_password(text);
    if (shown)
        hide_values(shown);
    return shown;
}

bide_code bide_url_parse(const char *text, struct bide_url *ret_url, bide_error *error)
{
    struct bide_url url = {0};
    url.redacted = bide_url_redact(text);
    bide_code code = url.redacted ? parse(&url, text) : BIDE_E_NOMEM;
    if (code == BIDE_OK) {
        *ret_url = url;
        return code;
    }
    if (code == BIDE_E_NOMEM)
        bide_fail(error, code, "out of memory");
    else
        bide_fail(error, code,
            "'%.300s' is not a broker's URL: write for example sqlite:bide.db, "
            "amqp://user:password@host/vhost "
            "or redis://host:6379/0",
            url.redacted);
    bide_url_clear(&url);
    return code;
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

bide_code bide_url_add_param(struct bide_url *url, const char *name, const char *value, bide_error *error)
{
    if (url->n_params == BIDE_URL_PARAMS_MAX)
        return bide_fail(
            error, BIDE_E_CONFIG, "%s: more than %d options", url->redacted, BIDE_URL_PARAMS_MAX);
    struct bide_url_param *param = &url->params[url->n_params++];
    param->name = bide_strdup(name);
    param->value = bide_strdup(value);
    return param->name && param->value ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
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
