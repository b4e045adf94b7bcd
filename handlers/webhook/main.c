/* webhook: POSTs the body to a URL, and lets the answer decide: 2xx done; 408, 429 and 5xx retry, after the
 * time the server asks for; any other is hopeless. What never became an answer (connection, TLS, time-out) is
 * retried. */
#include <string.h>
#include <strings.h>

#include "webhook.h"

enum { ASK_EVERY_MS = 50, LONGEST_POLL_MS = 60000 }; /* where there is no descriptor to wait for */

static long request_timeout_ms(const struct webhook *webhook, const bide_context *context)
{
    int64_t left = bide_remaining_ms(context);
    int64_t timeout = left < webhook->timeout_ms ? left : webhook->timeout_ms;
    return timeout > 0 ? (long)timeout : 1; /* 0 would mean: for ever */
}

static void prepare(
    struct webhook *webhook, const bide_message *message, struct curl_slist *headers, long timeout_ms)
{
    size_t size;
    const void *body = bide_message_body(message, &size);
    webhook->reply_size = 0;
    webhook->problem[0] = '\0';
    curl_easy_setopt(webhook->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(webhook->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(webhook->easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(webhook->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
}

/* Until there is an answer, an error, or the run is cancelled (CURLE_ABORTED_BY_CALLBACK). */
static CURLcode transfer(struct webhook *webhook, bide_context *context)
{
    struct curl_waitfd cancel = {.fd = bide_cancel_fd(context), .events = CURL_WAIT_POLLIN};
    unsigned n_extra = cancel.fd >= 0;
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    if (curl_multi_add_handle(webhook->multi, webhook->easy) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    while (!bide_cancelled(context)) {
        int running, left;
        if (curl_multi_perform(webhook->multi, &running) != CURLM_OK) {
            result = CURLE_OUT_OF_MEMORY;
            break;
        }
        const CURLMsg *news = curl_multi_info_read(webhook->multi, &left);
        if (news && news->msg == CURLMSG_DONE) {
            result = news->data.result;
            break;
        }
        curl_multi_poll(webhook->multi, n_extra ? &cancel : NULL, n_extra,
            n_extra ? LONGEST_POLL_MS : ASK_EVERY_MS, NULL);
    }
    curl_multi_remove_handle(webhook->multi, webhook->easy); /* a transfer still under way is closed */
    return result;
}

/* The answer's beginning as one line of plain text. */
static const char *reply_text(struct webhook *webhook)
{
    size_t size = webhook->reply_size;
    while (size && (unsigned char)webhook->reply[size - 1] <= ' ')
        size--;
    webhook->reply[size] = '\0';
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)webhook->reply[i] < ' ' || webhook->reply[i] == 0x7F)
            webhook->reply[i] = ' ';
    return webhook->reply;
}

static int64_t wanted_delay_ms(struct webhook *webhook)
{
    curl_off_t seconds = 0; /* libcurl reads both forms: seconds and a date */
    curl_easy_getinfo(webhook->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds <= 0 || webhook->retry_after_max_ms == 0)
        return BIDE_BY_POLICY;
    return seconds < webhook->retry_after_max_ms / 1000 ? (int64_t)seconds * 1000
                                                        : webhook->retry_after_max_ms;
}

static long status_of(const struct webhook *webhook)
{
    long status = 0; /* also where there is none */
    curl_easy_getinfo(webhook->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bide_outcome answered(struct webhook *webhook, bide_context *context, long status)
{
    const char *reply = reply_text(webhook);
    const char *colon = reply[0] ? ": " : "";
    int64_t delay_ms = wanted_delay_ms(webhook);
    if (status == 429 && delay_ms > 0)
        return bide_throttled(
            context, NULL, delay_ms, "%s answered 429%s%s", webhook->shown_url, colon, reply);
    if (status == 408 || status == 429 || status >= 500)
        return bide_retry(context, delay_ms, "%s answered %ld%s%s", webhook->shown_url, status, colon, reply);
    if (status >= 300 && status < 400)
        return bide_dead(context, "%s answered %ld: redirects are not followed; set the final 'url'",
            webhook->shown_url, status);
    return bide_dead(context, "%s answered %ld%s%s", webhook->shown_url, status, colon, reply);
}

/* What became of a transaction, where it was asked: any other 2xx is no answer. */
static bide_outcome done(const struct webhook *webhook, bide_context *context)
{
    struct curl_header *header;
    if (curl_easy_header(webhook->easy, "Bide-Transaction", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return BIDE_DONE;
    if (strcasecmp(header->value, "commit") == 0)
        return bide_commit(context);
    return strcasecmp(header->value, "abort") == 0 ? bide_abort(context) : BIDE_DONE;
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    struct webhook *webhook = state;
    struct curl_slist *headers = webhook_headers(webhook, message);
    if (!headers)
        return bide_retry(context, BIDE_BY_POLICY, "out of memory");
    prepare(webhook, message, headers, request_timeout_ms(webhook, context));
    CURLcode result = transfer(webhook, context);
    bide_outcome outcome;
    long status = status_of(webhook);
    if (status >= 200 && status < 300)
        outcome = done(webhook, context); /* also where its body was cut off: the receiver has the message */
    else if (result == CURLE_OK)
        outcome = answered(webhook, context, status);
    else if (result == CURLE_ABORTED_BY_CALLBACK)
        outcome = bide_retry(
            context, BIDE_BY_POLICY, "the run was cancelled before %s answered", webhook->shown_url);
    else
        outcome = bide_retry(context, BIDE_BY_POLICY, "cannot deliver to %s: %s", webhook->shown_url,
            webhook->problem[0] ? webhook->problem : curl_easy_strerror(result));
    curl_easy_setopt(webhook->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return outcome;
}

static bide_code open_handler(const bide_settings *settings, void **ret_state, bide_error *error)
{
    struct webhook *webhook;
    bide_code code = webhook_open(settings, &webhook, error);
    if (code == BIDE_OK)
        *ret_state = webhook;
    return code;
}

static void close_handler(void *state)
{
    webhook_close(state);
}

static const bide_setting_spec settings_table[] = {
    {"url", BIDE_SETTING_STRING, NULL, "where the body is POSTed to (http or https)"},
    {"headers", BIDE_SETTING_LIST, "", "more headers, each \"Name: value\""},
    {"forward_headers", BIDE_SETTING_LIST, "",
        "names of a message's headers that are sent along, besides its trace"},
    {"secret", BIDE_SETTING_STRING, "", "key of the header Bide-Signature (HMAC-SHA256)"},
    {"secret_file", BIDE_SETTING_STRING, "", "file whose first line is that key"},
    {"timeout", BIDE_SETTING_DURATION, "30s", "for a request, where the handler has not less left"},
    {"connect_timeout", BIDE_SETTING_DURATION, "10s", "for the connection"},
    {"retry_after_max", BIDE_SETTING_DURATION, "1h", "the longest Retry-After that is obeyed; 0s: none is"},
    {"ca_file", BIDE_SETTING_STRING, "", "certificates to trust instead of the system's (PEM)"},
    {0},
};

const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "webhook", .version = "1.0.0",
    .summary = "POSTs the body to a URL; the answer decides", .flags = BIDE_PLUGIN_STATE_PER_THREAD,
    .settings = settings_table, .open = open_handler, .handle = handle, .close = close_handler};
