#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "webhook.h"

#define USER_AGENT "bide-webhook/1.0"

enum { SECRET_MAX = 4096 };

/* The URL as it may be shown: scheme, host, port and path. */
static bide_code set_shown_url(struct webhook *webhook, CURLU *parsed, bide_error *error)
{
    char *scheme = NULL;
    char *shown = NULL;
    bide_code code = BIDE_OK;
    curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0);
    if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        code = bide_fail(error, BIDE_E_CONFIG, "setting 'url' must begin with http:// or https://");
    curl_url_set(parsed, CURLUPART_USER, NULL, 0);
    curl_url_set(parsed, CURLUPART_PASSWORD, NULL, 0);
    curl_url_set(parsed, CURLUPART_QUERY, NULL, 0);
    curl_url_set(parsed, CURLUPART_FRAGMENT, NULL, 0);
    if (code == BIDE_OK && (curl_url_get(parsed, CURLUPART_URL, &shown, 0) != CURLUE_OK ||
                               !(webhook->shown_url = strdup(shown))))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    curl_free(shown);
    curl_free(scheme);
    return code;
}

static bide_code set_url(struct webhook *webhook, const bide_settings *settings, bide_error *error)
{
    const char *url = bide_settings_string(settings, "url");
    webhook->url = strdup(url);
    CURLU *parsed = curl_url();
    bide_code code;
    if (!webhook->url || !parsed)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    else if (curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        code = bide_fail(error, BIDE_E_CONFIG,
            "setting 'url' is not a URL such as \"https://example.org/hook\" (not shown: it may hold a "
            "secret)");
    else
        code = set_shown_url(webhook, parsed, error);
    curl_url_cleanup(parsed);
    return code;
}

static bide_code set_headers(struct webhook *webhook, const bide_settings *settings, bide_error *error)
{
    for (size_t i = 0; i < bide_settings_list_size(settings, "headers"); i++) {
        const char *line = bide_settings_list_at(settings, "headers", i);
        const char *colon = strchr(line, ':');
        if (!colon || colon == line || strpbrk(line, "\r\n"))
            return bide_fail(error, BIDE_E_CONFIG,
                "setting 'headers': item %zu is not of the form \"Name: value\"", i + 1);
        struct curl_slist *longer = curl_slist_append(webhook->headers, line);
        if (!longer)
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        webhook->headers = longer;
    }
    return BIDE_OK;
}

static bide_code set_forward(struct webhook *webhook, const bide_settings *settings, bide_error *error)
{
    size_t n = bide_settings_list_size(settings, "forward_headers");
    if (!(webhook->forward = calloc(n + 1, sizeof *webhook->forward)))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const char *name = bide_settings_list_at(settings, "forward_headers", i);
        if (!webhook_may_forward(name))
            return bide_fail(error, BIDE_E_CONFIG,
                "setting 'forward_headers': '%s' is no header's name, or one that the request sets itself",
                name);
        webhook->forward[webhook->n_forward++] = name;
    }
    return BIDE_OK;
}

/* Paths start at the configuration file's folder. */
static void locate(const bide_settings *settings, const char *file, char path[PATH_MAX])
{
    bool absolute = file[0] == '/';
    snprintf(
        path, PATH_MAX, "%s%s%s", absolute ? "" : bide_settings_dir(settings), absolute ? "" : "/", file);
}

static const char *take_line(char secret[SECRET_MAX], ssize_t size)
{
    if (size < 0)
        return strerror(errno);
    secret[size] = '\0';
    size_t line = strcspn(secret, "\r\n");
    if (line == SECRET_MAX - 1)
        return "its first line is longer than 4094 bytes";
    secret[line] = '\0';
    return line ? NULL : "its first line is empty";
}

/* The first line of a file. */
static bide_code read_secret(struct webhook *webhook, const bide_settings *settings, bide_error *error)
{
    char secret[SECRET_MAX];
    int fd;
    bide_code code = bide_settings_open(settings, "secret_file", &fd, error);
    if (code != BIDE_OK)
        return code;
    const char *why = take_line(secret, read(fd, secret, sizeof secret - 1));
    close(fd);
    if (why)
        code = bide_fail(error, BIDE_E_CONFIG, "setting 'secret_file': %s: %s",
            bide_settings_string(settings, "secret_file"), why);
    else if (!(webhook->secret = strdup(secret)))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    explicit_bzero(secret, sizeof secret);
    return code;
}

static bide_code set_secret(struct webhook *webhook, const bide_settings *settings, bide_error *error)
{
    const char *secret = bide_settings_string(settings, "secret");
    const char *file = bide_settings_string(settings, "secret_file");
    bide_code code = BIDE_OK;
    if (secret && secret[0] && file && file[0])
        return bide_fail(error, BIDE_E_CONFIG, "settings 'secret' and 'secret_file' exclude each other");
    if (file && file[0])
        code = read_secret(webhook, settings, error);
    else if (secret && secret[0] && !(webhook->secret = strdup(secret)))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    webhook->secret_size = webhook->secret ? strlen(webhook->secret) : 0;
    return code;
}

static size_t keep_reply(char *bytes, size_t size, size_t n, void *user)
{
    struct webhook *webhook = user;
    size_t room = WEBHOOK_REPLY_MAX - webhook->reply_size;
    size_t keep = size * n < room ? size * n : room;
    memcpy(webhook->reply + webhook->reply_size, bytes, keep);
    webhook->reply_size += keep;
    return size * n; /* the rest is read and forgotten, so that the connection can be used again */
}

/* What is the same for every request. */
static bide_code set_curl(struct webhook *webhook, const bide_settings *settings, bide_error *error)
{
    CURL *easy = webhook->easy = curl_easy_init();
    webhook->multi = curl_multi_init();
    if (!easy || !webhook->multi)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    const char *ca_file = bide_settings_string(settings, "ca_file");
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A name server that does not answer holds up the resolver's thread only, not who waits for it. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); /* threads: no alarm(), no change of SIGPIPE */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)bide_settings_int(settings, "connect_timeout"));
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, webhook->problem);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep_reply);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, webhook);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, webhook->url);
    if (code == CURLE_OK && ca_file && ca_file[0]) {
        char path[PATH_MAX];
        int fd;
        bide_code trusted = bide_settings_open(settings, "ca_file", &fd, error);
        if (trusted != BIDE_OK)
            return trusted;
        close(fd);
        locate(settings, ca_file, path);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* else the system's authorities are trusted, too */
        code = curl_easy_setopt(easy, CURLOPT_CAINFO, path);
    }
    return code == CURLE_OK ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static bide_code fill(struct webhook *webhook, const bide_settings *settings, bide_error *error)
{
    webhook->timeout_ms = bide_settings_int(settings, "timeout");
    webhook->retry_after_max_ms = bide_settings_int(settings, "retry_after_max");
    bide_code code = set_url(webhook, settings, error);
    if (code == BIDE_OK)
        code = set_headers(webhook, settings, error);
    if (code == BIDE_OK)
        code = set_forward(webhook, settings, error);
    if (code == BIDE_OK)
        code = set_secret(webhook, settings, error);
    if (code == BIDE_OK)
        code = set_curl(webhook, settings, error);
    return code;
}

bide_code webhook_open(const bide_settings *settings, struct webhook **ret_webhook, bide_error *error)
{
    struct webhook *webhook = calloc(1, sizeof *webhook);
    if (!webhook)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) { /* counted; safe in threads since 7.84 */
        free(webhook);
        return bide_fail(error, BIDE_E_INTERNAL, "libcurl could not be set up");
    }
    bide_code code = fill(webhook, settings, error);
    if (code != BIDE_OK) {
        webhook_close(webhook);
        return code;
    }
    *ret_webhook = webhook;
    return BIDE_OK;
}

void webhook_close(struct webhook *webhook)
{
    if (!webhook)
        return;
    curl_easy_cleanup(webhook->easy);
    if (webhook->multi)
        curl_multi_cleanup(webhook->multi);
    curl_slist_free_all(webhook->headers);
    if (webhook->secret)
        explicit_bzero(webhook->secret, webhook->secret_size);
    free(webhook->secret);
    free(webhook->forward);
    free(webhook->shown_url);
    free(webhook->url);
    free(webhook);
    curl_global_cleanup();
}
