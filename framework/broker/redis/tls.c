#include "broker/redis/tls.h"

#ifdef BIDE_HAVE_HIREDIS_SSL

#include <hiredis/hiredis_ssl.h>

/* struct bide_redis_tls is hiredis' own context under our name: nothing else has to be kept. */

bide_code bide_redis_tls_start(redisContext *context, const struct bide_redis_settings *settings,
    const char *host, struct bide_redis_tls **ret_tls, bide_error *error)
{
    redisInitOpenSSL();
    redisSSLContextError why = REDIS_SSL_CTX_NONE;
    const char *name = settings->sni ? settings->sni : host;
    redisSSLContext *tls = redisCreateSSLContext(settings->cacert, settings->cacert ? NULL : "/etc/ssl/certs",
        settings->cert, settings->key, name, &why);
    if (!tls)
        return bide_fail(error, BIDE_E_CONFIG, "%s: TLS: %s; check cacert, cert and key", settings->shown,
            redisSSLContextGetError(why));
    if (redisInitiateSSLWithContext(context, tls) != REDIS_OK) {
        redisFreeSSLContext(tls);
        return bide_fail(error, BIDE_E_BROKER,
            "%s: TLS with %s failed: %s; is this a TLS port, and does cacert name who signed its "
            "certificate?",
            settings->shown, host, context->errstr);
    }
    *ret_tls = (struct bide_redis_tls *)tls;
    return BIDE_OK;
}

void bide_redis_tls_destroy(struct bide_redis_tls *tls)
{
    if (tls)
        redisFreeSSLContext((redisSSLContext *)tls);
}

#else

bide_code bide_redis_tls_start(redisContext *context, const struct bide_redis_settings *settings,
    const char *host, struct bide_redis_tls **ret_tls, bide_error *error)
{
    (void)context, (void)host, (void)ret_tls;
    return bide_fail(error, BIDE_E_CONFIG, "%s: built without TLS", settings->shown);
}

void bide_redis_tls_destroy(struct bide_redis_tls *tls)
{
    (void)tls;
}

#endif
