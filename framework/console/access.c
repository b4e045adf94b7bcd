#include "console/access.h"

#include <string.h>
#include <strings.h>

/* Compares in a time that depends only on the length of the given token. */
static bool equal(const char *given, const char *token)
{
    size_t n = strlen(given), size = strlen(token);
    volatile unsigned char different = n != size;
    for (size_t i = 0; i < n; i++)
        different |= (unsigned char)((unsigned char)given[i] ^ (unsigned char)token[size ? i % size : 0]);
    return !different;
}

static const char *const role_names[] = {"anyone", "read", "send", "operate"};

const char *bide_role_name(enum bide_role role)
{
    return role_names[role];
}

static bool has_tokens(const struct bide_http_config *http)
{
    return http->token || http->read_token || http->send_token;
}

/* Compares with every token, so that the time tells nothing about them. */
static enum bide_role role_of(const struct bide_access *access)
{
    static const char scheme[] = "Bearer ";
    const char *const tokens[] = {
        [BIDE_ROLE_READ] = access->http->read_token,
        [BIDE_ROLE_SEND] = access->http->send_token,
        [BIDE_ROLE_OPERATE] = access->http->token,
    };
    enum bide_role role = BIDE_ROLE_NONE;
    if (!access->authorization || strncasecmp(access->authorization, scheme, sizeof scheme - 1) != 0)
        return BIDE_ROLE_NONE;
    for (enum bide_role at = BIDE_ROLE_READ; at <= BIDE_ROLE_OPERATE; at++)
        if (tokens[at] && equal(access->authorization + sizeof scheme - 1, tokens[at]))
            role = at;
    return role;
}

static bool role_may(enum bide_role role, enum bide_right right)
{
    if (role == BIDE_ROLE_OPERATE)
        return true;
    return role == BIDE_ROLE_SEND ? right == BIDE_RIGHT_SEND
                                  : role == BIDE_ROLE_READ && right <= BIDE_RIGHT_READ;
}

/* "localhost", "127.…" or "[::1]", each with a port or without. */
static bool is_this_machine(const char *host)
{
    const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    size_t size = strcspn(host, ":");
    if (*host == '[')
        size = strcspn(host, "]") + 1;
    if (size > strlen(host) || (host[size] && host[size] != ':'))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (size == strlen(names[i]) && strncasecmp(host, names[i], size) == 0)
            return true;
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == size;
}

/* Does "https://host:port" of the asking page name the host that is asked? */
static bool is_own_page(const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");
    return authority && host && strcasecmp(authority + 3, host) == 0;
}

/* Judges by what a browser says about the asking page: NULL, or why the request is refused. */
static const char *led_astray(const struct bide_access *access, enum bide_right right)
{
    const char *site = access->site;
    if (access->loopback && (!access->host || !is_this_machine(access->host)))
        return "the Host header does not name this machine";
    if (right != BIDE_RIGHT_PUBLIC && site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return "another site's page (Sec-Fetch-Site) must not ask here";
    if (right >= BIDE_RIGHT_SEND && access->origin && !is_own_page(access->origin, access->host))
        return "another page (Origin) must not act here";
    return NULL;
}

struct bide_judgement bide_access_judge(const struct bide_access *access, enum bide_right right)
{
    if (access->door == BIDE_DOOR_OWNER)
        return (struct bide_judgement){.role = BIDE_ROLE_OPERATE};
    if (access->door == BIDE_DOOR_SENDERS)
        return right == BIDE_RIGHT_PUBLIC || right == BIDE_RIGHT_SEND
                   ? (struct bide_judgement){.role = BIDE_ROLE_SEND}
                   : (struct bide_judgement){.status = 403,
                         .why = "this socket is for sending (http.send_socket)",
                         .role = BIDE_ROLE_SEND};
    const char *astray = led_astray(access, right);
    if (astray)
        return (struct bide_judgement){.status = 403, .why = astray};
    enum bide_role role = role_of(access);
    bool open = right == BIDE_RIGHT_PUBLIC || (right == BIDE_RIGHT_METRICS && access->http->open_metrics) ||
                (right <= BIDE_RIGHT_READ && !has_tokens(access->http));
    if (open || role_may(role, right))
        return (struct bide_judgement){.role = role};
    if (!has_tokens(access->http))
        return (struct bide_judgement){
            .status = 403, .why = "this needs a token by TCP: set http.token in the configuration"};
    if (role != BIDE_ROLE_NONE)
        return (struct bide_judgement){
            .status = 403, .why = "this token has not the role for that", .role = role};
    return (struct bide_judgement){.status = 401,
        .why = "this needs the header Authorization: Bearer TOKEN, with a token of the configuration's http",
        .guessed = access->authorization != NULL};
}
