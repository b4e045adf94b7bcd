/* What a request carries besides its body. A message comes from anywhere: a header of its own is forwarded
 * only if it is a header (no line ends, RFC 9110 token as name), concerns the message and not the connection,
 * and does not replace one of ours or one that is configured. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "webhook.h"

static const char *const not_forwarded[] = {"connection", "content-length", "content-type", "expect", "host",
    "idempotency-key", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "user-agent"};

static bool is_token(const char *name)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return name[0] && !name[strspn(name, allowed)];
}

static bool is_value(const char *value)
{
    for (; *value; value++)
        if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7F)
            return false;
    return true;
}

static bool configured(const struct webhook *webhook, const char *name)
{
    size_t size = strlen(name);
    for (const struct curl_slist *at = webhook->headers; at; at = at->next)
        if (strncasecmp(at->data, name, size) == 0 && at->data[size] == ':')
            return true;
    return false;
}

static bool forwarded(const struct webhook *webhook, const char *name, const char *value)
{
    if (!is_token(name) || !is_value(value) || strncasecmp(name, "bide-", 5) == 0)
        return false;
    for (size_t i = 0; i < sizeof not_forwarded / sizeof not_forwarded[0]; i++)
        if (strcasecmp(name, not_forwarded[i]) == 0)
            return false;
    return !configured(webhook, name);
}

/* Once an append has failed, *list is freed and NULL, and stays so. */
static void add(struct curl_slist **list, const char *name, const char *value)
{
    char *line;
    if (!*list)
        return;
    /* "Name;" is libcurl's way to say that the value is empty */
    if (asprintf(&line, value[0] ? "%s: %s" : "%s;", name, value) < 0)
        line = NULL;
    struct curl_slist *longer = line ? curl_slist_append(*list, line) : NULL;
    if (!longer)
        curl_slist_free_all(*list);
    *list = longer;
    free(line);
}

static void add_own(struct curl_slist **list, const bide_message *message)
{
    char attempt[16];
    const char *type = bide_message_content_type(message);
    const char *id = bide_message_id(message);
    snprintf(attempt, sizeof attempt, "%d", bide_message_attempt(message));
    add(list, "Content-Type", type[0] && is_value(type) ? type : "application/octet-stream");
    add(list, "Bide-Type", bide_message_type(message));
    add(list, "Bide-Queue", bide_message_queue(message));
    add(list, "Bide-Attempt", attempt);
    if (!is_value(id))
        return;
    add(list, "Bide-Id", id);
    add(list, "Idempotency-Key", id);
}

struct curl_slist *webhook_headers(const struct webhook *webhook, const bide_message *message)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* no waiting for "100 Continue" */
    add_own(&list, message);
    if (webhook->secret) {
        char signature[WEBHOOK_SIGNATURE_TEXT];
        if (!webhook_sign(webhook, message, signature)) {
            curl_slist_free_all(list);
            return NULL;
        }
        add(&list, "Bide-Signature", signature);
    }
    for (size_t i = 0; i < bide_message_header_count(message); i++) {
        const char *name = bide_message_header_name(message, i);
        const char *value = bide_message_header_value(message, i);
        if (forwarded(webhook, name, value))
            add(&list, name, value);
    }
    for (const struct curl_slist *at = webhook->headers; list && at; at = at->next) {
        struct curl_slist *longer = curl_slist_append(list, at->data);
        if (!longer)
            curl_slist_free_all(list);
        list = longer;
    }
    return list;
}
