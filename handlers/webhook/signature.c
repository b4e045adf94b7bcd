#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "webhook.h"

static bool hmac(
    const struct webhook *webhook, const char *head, const bide_message *message, unsigned char digest[32])
{
    char name[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
    size_t size, digest_size;
    const unsigned char *body = bide_message_body(message, &size);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    bool good = context &&
                EVP_MAC_init(context, (const unsigned char *)webhook->secret, webhook->secret_size, params) &&
                EVP_MAC_update(context, (const unsigned char *)head, strlen(head)) &&
                EVP_MAC_update(context, body, size) && EVP_MAC_final(context, digest, &digest_size, 32);
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    return good;
}

/* No value holds a line's end, so that what is signed can be read in one way only. */
bool webhook_sign(const struct webhook *webhook, const bide_message *message, char to[WEBHOOK_SIGNATURE_TEXT])
{
    unsigned char digest[32];
    char *head;
    long long now = (long long)time(NULL);
    if (asprintf(&head, "%lld\n%s\n%s\n", now, webhook_sent_id(message), bide_message_type(message)) < 0)
        return false;
    bool good = hmac(webhook, head, message, digest);
    free(head);
    int used = snprintf(to, WEBHOOK_SIGNATURE_TEXT, "t=%lld,v2=", now);
    for (size_t i = 0; good && i < sizeof digest; i++)
        used += snprintf(to + used, WEBHOOK_SIGNATURE_TEXT - (size_t)used, "%02x", digest[i]);
    return good;
}
