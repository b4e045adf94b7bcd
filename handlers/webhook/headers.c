/* What a request carries besides its body. A message comes from anywhere, and a header may give rights to who
 * sends it (authorization, cookie, x-forwarded-for, a method override): of a message's own headers only its
 * trace and those that `forward_headers` names are sent, and only where they are headers (no line ends) and
 * do not replace one of ours or one that is configured. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "webhook.h"

static const char *const never_forwarded[] = {"connection", "content-length", "content-type", "expect",
    "host", "idempotency-key", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "user-agent"};
static const char *const traces[] = {"traceparent", "tracestate"};

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

bool webhook_may_forward(const char *name)
{
    bool never = !is_token(name) || strncasecmp(name, "bide-", 5) == 0;
    for (size_t i = 0; i < sizeof never_forwarded / sizeof never_forwarded[0]; i++)
        never = never || strcasecmp(name, never_forwarded[i]) == 0;
    return !never;
}

static bool forwarded(const struct webhook *webhook, const char *name, const char *value)
{
    bool wanted = false;
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++)
        wanted = wanted || strcasecmp(name, traces[i]) == 0;
    for (size_t i = 0; i < webhook->n_forward && !wanted; i++)
        wanted = strcasecmp(name, webhook->forward[i]) == 0;
    return wanted && is_value(value) && !configured(webhook, name);
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

const char *webhook_sent_id(const bide_message *message)
{
    const char *id = bide_message_id(message);
    size_t size = strlen(id);
    bool blank = size && (strchr(" \t", id[0]) || strchr(" \t", id[size - 1])); /* a receiver cuts it off */
    return is_value(id) && !blank ? id : "";
}

/* Configured headers win over ours. */
static void add_own(struct curl_slist **list, const struct webhook *webhook, const bide_message *message)
{
    char attempt[16];
    const char *type = bide_message_content_type(message), *id = webhook_sent_id(message);
    const char *transaction = bide_message_header(message, "bide-transaction");
    const struct {
        const char *name, *value;
    } rows[] = {
        {"Content-Type", type[0] && is_value(type) ? type : "application/octet-stream"},
        {"Bide-Type", bide_message_type(message)},
        {"Bide-Queue", bide_message_queue(message)},
        {"Bide-Attempt", attempt},
        {"Bide-Id", id},
        {"Bide-Transaction", transaction && is_value(transaction) ? transaction : ""},
        {"Idempotency-Key", id},
    };
    snprintf(attempt, sizeof attempt, "%d", bide_message_attempt(message));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].value[0] && !configured(webhook, rows[i].name))
            add(list, rows[i].name, rows[i].value);
}

struct curl_slist *webhook_headers(const struct webhook *webhook, const bide_message *message)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* no waiting for "100 Continue" */
    add_own(&list, webhook, message);
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
