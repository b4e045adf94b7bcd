/* broker/redis/tls.h: TLS for a link, where hiredis has it (1.0 and newer, built with OpenSSL).
 *
 * Without it settings refuse rediss://, so that these are never called then. One thread at a time. */
#ifndef BIDE_REDIS_TLS_H
#define BIDE_REDIS_TLS_H

#include <hiredis/hiredis.h>

#include "bide/error.h"
#include "broker/redis/settings.h"

struct bide_redis_tls;

/* Makes a connected context speak TLS, checking the server's certificate against its name. *ret_tls lives as
 * long as the context; destroy it after. */
bide_code bide_redis_tls_start(redisContext *context, const struct bide_redis_settings *settings,
    const char *host, struct bide_redis_tls **ret_tls, bide_error *error);
void bide_redis_tls_destroy(struct bide_redis_tls *tls); /* NULL is fine */

#endif
