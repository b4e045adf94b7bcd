/* base/url.h: scheme://[user[:password]@]host[:port][,host[:port]…][/path][?key=value[&…]], or
 * scheme:path[?…].
 *
 * One parser for every broker's URL. Percent-encoding is decoded in user, password, path and values; IPv6
 * hosts stand in brackets. Thread-safety: an URL that nobody frees may be read by several threads. */
#ifndef BIDE_BASE_URL_H
#define BIDE_BASE_URL_H

#include <stddef.h>
#include <stdint.h>

#include "bide/error.h"

enum { BIDE_URL_HOSTS_MAX = 16, BIDE_URL_PARAMS_MAX = 32 };

struct bide_url_host {
    char *name; /* never empty */
    int port;   /* 0: not given */
};

struct bide_url_param {
    char *name;
    char *value; /* "" where there is none */
};

struct bide_url {
    char *scheme;   /* lower case */
    char *user;     /* NULL: not given */
    char *password; /* NULL: not given; "" is a password */
    struct bide_url_host hosts[BIDE_URL_HOSTS_MAX];
    size_t n_hosts;
    char *path; /* without the slash behind the authority; NULL: no slash; for "scheme:…", all that follows */
    struct bide_url_param params[BIDE_URL_PARAMS_MAX];
    size_t n_params;
    char *redacted; /* for logs and messages: *** for the password and the values of the query */
};

/* BIDE_E_CONFIG (the text shows the URL without its password) or BIDE_E_NOMEM. */
bide_code bide_url_parse(const char *text, struct bide_url *ret_url, bide_error *error);
void bide_url_clear(struct bide_url *url); /* also a zeroed one */
/* The last value of a parameter, or NULL. */
const char *bide_url_param(const struct bide_url *url, const char *name);
/* Adds a parameter. BIDE_E_CONFIG if there are too many. */
bide_code bide_url_add_param(struct bide_url *url, const char *name, const char *value, bide_error *error);
/* Hides the values of the query, and all between the first ':' behind "scheme://" and the last '@', also in a
 * text that is no URL: a password may contain a raw '/', '?' or '@'. (So an '@' in a parameter should be
 * written %40.) The caller frees it (bide_free); NULL without memory. */
char *bide_url_redact(const char *text);

/* Refuses parameters that are not in `known` (ended by NULL): "unknown option 'x' … (did you mean 'y'?)". */
bide_code bide_url_check_params(const struct bide_url *url, const char *const known[], bide_error *error);

#endif
