/* handlers/webhook/webhook.h: the parts of the plugin webhook. One `struct webhook` a pool thread, used by
 * that thread alone.
 */
#ifndef WEBHOOK_H
#define WEBHOOK_H

#include <curl/curl.h>

#include <bide/handler.h>

enum { WEBHOOK_REPLY_MAX = 512 }; /* bytes of an answer that are kept for the record */

struct webhook {
    CURLM *multi; /* keeps the connections for the next message */
    CURL *easy;
    char *url;
    char *shown_url;            /* without password and query: for texts */
    struct curl_slist *headers; /* configured */
    char *secret;               /* NULL: unsigned */
    size_t secret_size;
    int64_t timeout_ms;
    int64_t retry_after_max_ms; /* 0: Retry-After is not obeyed */
    const char **forward; /* names of a message's headers that go along; the strings are the settings' */
    size_t n_forward;
    char problem[CURL_ERROR_SIZE];
    char reply[WEBHOOK_REPLY_MAX + 1];
    size_t reply_size;
};

/* ---- settings.c ---- */
bide_code webhook_open(const bide_settings *settings, struct webhook **ret_webhook, bide_error *error);
void webhook_close(struct webhook *webhook); /* NULL is fine */

/* ---- headers.c: the request's header list; NULL where there is no memory ---- */
struct curl_slist *webhook_headers(const struct webhook *webhook, const bide_message *message);
/* May `forward_headers` name this one? */
bool webhook_may_forward(const char *name);
/* What Bide-Id says: "" where the id is no header's value. */
const char *webhook_sent_id(const bide_message *message);

/* ---- signature.c: "t=<unix seconds>,v2=<hex>", HMAC-SHA256 over the lines time, id and type, and the body
 * ---- */
enum { WEBHOOK_SIGNATURE_TEXT = 128 };
bool webhook_sign(
    const struct webhook *webhook, const bide_message *message, char to[WEBHOOK_SIGNATURE_TEXT]);

#endif
