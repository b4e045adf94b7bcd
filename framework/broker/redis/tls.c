#include "broker/redis/tls.h"

#ifdef BIDE_HAVE_HIREDIS_SSL

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <hiredis/hiredis_ssl.h>

/* The SSL object is made here and not by hiredis' own context, which would not compare the certificate's
 * name. */

static bide_code refuse(const struct bide_redis_settings *settings, const char *what, bide_error *error)
{
    char why[160];
    ERR_error_string_n(ERR_get_error(), why, sizeof why);
    return bide_fail(error, BIDE_E_CONFIG, "%s: TLS: %s: %s", settings->shown, what, why);
}

static bide_code set_up(SSL_CTX *tls, const struct bide_redis_settings *settings, bide_error *error)
{
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1)
        return refuse(settings, "cannot ask for TLS 1.2", error);
    if (settings->cacert ? SSL_CTX_load_verify_locations(tls, settings->cacert, NULL) != 1
                         : SSL_CTX_set_default_verify_paths(tls) != 1)
        return refuse(settings, "cannot read cacert", error);
    if (settings->cert && (SSL_CTX_use_certificate_chain_file(tls, settings->cert) != 1 ||
                              SSL_CTX_use_PrivateKey_file(tls, settings->key, SSL_FILETYPE_PEM) != 1))
        return refuse(settings, "cannot read cert and key, or they do not belong together", error);
    return BIDE_OK;
}

static bide_code shake_hands(redisContext *context, SSL_CTX *tls, const struct bide_redis_settings *settings,
    const char *name, bide_error *error)
{
    SSL *ssl = SSL_new(tls);
    if (!ssl || SSL_set1_host(ssl, name) != 1 || SSL_set_tlsext_host_name(ssl, name) != 1) {
        SSL_free(ssl);
        return refuse(settings, "cannot begin", error);
    }
    if (redisInitiateSSL(context, ssl) == REDIS_OK) /* the context owns it now */
        return BIDE_OK;
    long verified = SSL_get_verify_result(ssl);
    bide_code code =
        verified != X509_V_OK
            ? bide_fail(error, BIDE_E_CONFIG,
                  "%s: TLS: the certificate of '%s' is not accepted: %s; check cacert and sni",
                  settings->shown, name, X509_verify_cert_error_string(verified))
            : bide_fail(error, BIDE_E_BROKER, "%s: TLS with '%s' failed: %s; is this a TLS port?",
                  settings->shown, name, context->errstr);
    SSL_free(ssl);
    return code;
}

bide_code bide_redis_tls_start(
    redisContext *context, const struct bide_redis_settings *settings, const char *host, bide_error *error)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (!tls)
        return refuse(settings, "cannot begin", error);
    bide_code code = set_up(tls, settings, error);
    if (code == BIDE_OK)
        code = shake_hands(context, tls, settings, settings->sni ? settings->sni : host, error);
    SSL_CTX_free(tls);
    return code;
}

#else

bide_code bide_redis_tls_start(
    redisContext *context, const struct bide_redis_settings *settings, const char *host, bide_error *error)
{
    (void)context, (void)host;
    return bide_fail(error, BIDE_E_CONFIG, "%s: built without TLS", settings->shown);
}

#endif
