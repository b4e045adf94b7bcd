#include "console/access.h"

#include <string.h>
#include <strings.h>

/* Takes as long for a wrong token as for the right one: as long as the given one is. */
static bool equal(const char *given, const char *token)
{
    size_t n = strlen(given), size = strlen(token);
    volatile unsigned char different = n != size;
    for (size_t i = 0; i < n; i++)
        different |= (unsigned char)((unsigned char)given[i] ^ (unsigned char)token[size ? i % size : 0]);
    return !different;
}

static bool shows_token(const struct bide_access *access)
{
    static const char scheme[] = "Bearer ";
    return access->authorization && access->token &&
           strncasecmp(access->authorization, scheme, sizeof scheme - 1) == 0 &&
           equal(access->authorization + sizeof scheme - 1, access->token);
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

/* "https://host:port" of the page that asks is the host that it asks. */
static bool is_own_page(const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");
    return authority && host && strcasecmp(authority + 3, host) == 0;
}

unsigned bide_access_judge(const struct bide_access *access, enum bide_right right, const char **ret_why)
{
    if (access->local)
        return 0;
    if (access->loopback && (!access->host || !is_this_machine(access->host))) {
        *ret_why = "this address is asked for by a name that is not this machine's";
        return 403;
    }
    if (right == BIDE_RIGHT_ACT && access->origin && !is_own_page(access->origin, access->host)) {
        *ret_why = "another page (Origin) must not act here";
        return 403;
    }
    if (right == BIDE_RIGHT_PUBLIC || (right == BIDE_RIGHT_READ && access->loopback))
        return 0;
    if (!access->token) {
        *ret_why = "actions by TCP need a token: set http.token in the configuration";
        return 403;
    }
    if (!shows_token(access)) {
        *ret_why = "this needs the header Authorization: Bearer TOKEN, with the token of http.token";
        return 401;
    }
    return 0;
}
