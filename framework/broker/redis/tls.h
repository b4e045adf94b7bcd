/* broker/redis/tls.h: TLS for a link, where hiredis has it (1.0 and newer, built with OpenSSL).
 *
 * Without it settings refuse rediss://, so that this is never called then. One thread at a time. */
#ifndef BIDE_REDIS_TLS_H
#define BIDE_REDIS_TLS_H

#include <hiredis/hiredis.h>

#include "bide/error.h"
#include "broker/redis/settings.h"

/* Makes a connected context speak TLS 1.2 or newer. The server's certificate must be signed by who `cacert`
 * names (else: by who the system trusts) and be for `host` (or the option sni). */
bide_code bide_redis_tls_start(
    redisContext *context, const struct bide_redis_settings *settings, const char *host, bide_error *error);

#endif
