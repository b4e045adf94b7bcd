#include "cli/core/live.h"

#include <curl/curl.h>
#include <jansson.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/core/session.h"
#include "console/sockets.h"

enum { TIMEOUT_S = 10, LOOK_MS = 1000, OK = 200, NOT_FOUND = 404 };

static bool keep_path(void *user, const char *path, pid_t pid)
{
    struct bide_cli_live *live = user;
    (void)pid;
    char *copy = bide_strdup(path);
    if (copy)
        live->paths[live->n++] = copy;
    return live->n < BIDE_CLI_LIVE_MAX;
}

bide_code bide_cli_live_open(struct bide_cli *cli, struct bide_cli_live *ret_live, bide_error *error)
{
    *ret_live = (struct bide_cli_live){0};
    bide_code code = bide_cli_load(cli, &ret_live->config, error);
    if (code != BIDE_OK)
        return code;
    bide_cli_live_look(ret_live);
    if (ret_live->n > 0)
        return BIDE_OK;
    code = bide_fail(error, BIDE_E_BROKER,
        "no worker of yours runs on this host with %s: start one with `bide worker`, or name its file "
        "with -c",
        ret_live->config->path ? ret_live->config->path : "no configuration file");
    bide_cli_live_close(ret_live);
    return code;
}

static void forget_paths(struct bide_cli_live *live)
{
    for (size_t i = 0; i < live->n; i++)
        bide_free(live->paths[i]);
    live->n = 0;
}

void bide_cli_live_look(struct bide_cli_live *live)
{
    forget_paths(live);
    bide_socket_each(live->config, keep_path, live);
}

void bide_cli_live_close(struct bide_cli_live *live)
{
    forget_paths(live);
    bide_config_destroy(live->config);
}

static CURL *open_request(const char *socket, const char *path, curl_write_callback write, void *user)
{
    char url[600];
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    snprintf(url, sizeof url, "http://localhost%s", path);
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever http_proxy says */
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, user);
    return easy;
}

/* ---- one answer ---- */

static size_t keep_answer(char *bytes, size_t size, size_t n, void *user)
{
    bide_buffer_add(user, bytes, size * n);
    return size * n;
}

static bide_code refusal(long status, const struct bide_buffer *answer, bide_error *error)
{
    json_t *root = json_loadb(answer->bytes, answer->size, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "error"));
    bide_code code = status == NOT_FOUND ? BIDE_E_NOT_FOUND : BIDE_E_INTERNAL;
    bide_fail(error, code, "the worker refuses (%ld): %s", status, text ? text : "it does not say why");
    json_decref(root);
    return code;
}

/* Whatever it answers goes to `answer`. */
static bide_code ask(
    const char *socket, const char *path, bool post, struct bide_buffer *answer, bide_error *error)
{
    CURL *easy = open_request(socket, path, keep_answer, answer);
    if (!easy)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    long status = 0;
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    if (post)
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    CURLcode result = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    bide_code code = BIDE_OK;
    if (result != CURLE_OK)
        code = bide_fail(
            error, BIDE_E_BROKER, "the worker at %s does not answer: %s", socket, curl_easy_strerror(result));
    else if (status != OK)
        code = refusal(status, answer, error);
    curl_easy_cleanup(easy);
    return code;
}

bide_code bide_cli_live_get(const struct bide_cli_live *live, size_t i, const char *path,
    struct bide_buffer *answer, bide_error *error)
{
    return ask(live->paths[i], path, false, answer, error);
}

static bide_code post_to(const char *socket, const char *path, bide_error *error)
{
    struct bide_buffer answer;
    bide_buffer_init(&answer);
    bide_code code = ask(socket, path, true, &answer, error);
    bide_buffer_release(&answer);
    return code;
}

bide_code bide_cli_live_post(const struct bide_cli_live *live, const char *path, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < live->n; i++) {
        bide_code this_one = post_to(live->paths[i], path, code == BIDE_OK ? error : NULL);
        code = code == BIDE_OK ? this_one : code;
    }
    return code;
}

/* ---- streams ---- */

struct stream {
    CURL *easy;
    struct bide_buffer rest; /* of a line that has not ended yet */
    bide_cli_live_line *visit;
    void *user;
};

static size_t take_lines(char *bytes, size_t size, size_t n, void *user)
{
    struct stream *stream = user;
    const char *at, *end;
    bide_buffer_add(&stream->rest, bytes, size * n);
    if (stream->rest.failed)
        return 0;
    for (at = stream->rest.bytes; (end = strchr(at, '\n')); at = end + 1)
        if (!stream->visit(stream->user, at, (size_t)(end - at)))
            return 0;
    stream->rest.size = strlen(at);
    if (stream->rest.capacity)
        memmove(stream->rest.bytes, at, stream->rest.size + 1);
    return size * n;
}

static bide_code run_all(CURLM *multi, bide_error *error)
{
    int running = 1;
    CURLMcode result = CURLM_OK;
    while (running > 0 && result == CURLM_OK) {
        result = curl_multi_perform(multi, &running);
        if (result == CURLM_OK && running > 0)
            result = curl_multi_poll(multi, NULL, 0, LOOK_MS, NULL);
    }
    return result == CURLM_OK
               ? BIDE_OK
               : bide_fail(error, BIDE_E_INTERNAL, "following: %s", curl_multi_strerror(result));
}

bide_code bide_cli_live_follow(const struct bide_cli_live *live, const char *path, bide_cli_live_line *visit,
    void *user, bide_error *error)
{
    struct stream streams[BIDE_CLI_LIVE_MAX];
    CURLM *multi = curl_multi_init();
    if (!multi)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < live->n; i++) {
        streams[i] = (struct stream){.visit = visit, .user = user};
        bide_buffer_init(&streams[i].rest);
        streams[i].easy = open_request(live->paths[i], path, take_lines, &streams[i]);
        if (streams[i].easy)
            curl_multi_add_handle(multi, streams[i].easy);
    }
    bide_code code = run_all(multi, error);
    for (size_t i = 0; i < live->n; i++) {
        if (streams[i].easy)
            curl_multi_remove_handle(multi, streams[i].easy);
        curl_easy_cleanup(streams[i].easy);
        bide_buffer_release(&streams[i].rest);
    }
    curl_multi_cleanup(multi);
    return code;
}
