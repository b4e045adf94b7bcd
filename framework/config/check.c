#include "config/read.h"

#include <string.h>

#include "base/alloc.h"
#include "base/suggest.h"
#include "base/units.h"
#include "base/url.h"
#include "config/listen.h"

enum { TOKEN_MIN = 16, SOCKET_PATH = 104 };

static const config_setting_t *element(const config_t *file, const char *list, size_t index)
{
    return config_setting_get_elem(config_lookup(file, list), (unsigned)index);
}

static const struct bide_queue_config *find_queue(
    const struct bide_config *config, const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(config->queues[i].name, name) == 0)
            return &config->queues[i];
    return NULL;
}

static bide_code check_queues(
    const struct bide_reader *reader, const config_t *file, const struct bide_config *config)
{
    for (size_t i = 0; i < config->n_queues; i++)
        if (find_queue(config, config->queues[i].name, i))
            return bide_reader_fail(
                reader, element(file, "queues", i), "queue '%s' is listed twice", config->queues[i].name);
    return BIDE_OK;
}

/* ---- queues that the file does not list ---- */

static bide_code add_queue(const struct bide_reader *reader, struct bide_config *config, const char *name)
{
    if (find_queue(config, name, config->n_queues))
        return BIDE_OK;
    struct bide_queue_config *queues =
        bide_realloc(config->queues, (config->n_queues + 1) * sizeof *config->queues);
    if (!queues)
        return bide_reader_nomem(reader);
    config->queues = queues;
    if (!(queues[config->n_queues].name = bide_strdup(name)))
        return bide_reader_nomem(reader);
    queues[config->n_queues++].weight = 1;
    return BIDE_OK;
}

/* Without `queues`, those that handlers name, and "default"; with them, only the handlers' subscriptions. */
static bide_code add_queues(const struct bide_reader *reader, struct bide_config *config)
{
    bool listed = config->n_queues > 0;
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < config->n_handlers && code == BIDE_OK; i++)
        if (!listed || config->handlers[i].on)
            code = add_queue(reader, config, config->handlers[i].queue);
    return code == BIDE_OK && !listed ? add_queue(reader, config, "default") : code;
}

/* ---- handlers ---- */

static bide_code unlisted_queue(
    const struct bide_reader *reader, const config_setting_t *at, const struct bide_config *config, size_t i)
{
    const struct bide_handler_config *handler = &config->handlers[i];
    const char *known[64] = {0};
    char hint[BIDE_SUGGEST_TEXT];
    for (size_t j = 0; j < config->n_queues && j + 1 < sizeof known / sizeof known[0]; j++)
        known[j] = config->queues[j].name;
    const config_setting_t *given = config_setting_get_member(at, "queue");
    return bide_reader_fail(reader, given ? given : at,
        "handler '%s' takes queue '%s'%s, which is not in `queues`%s", handler->type, handler->queue,
        given ? "" : " (it names none)", bide_suggest(handler->queue, known, hint));
}

static bide_code check_retry(
    const struct bide_reader *reader, const config_setting_t *at, const struct bide_handler_config *handler)
{
    char base[BIDE_DURATION_TEXT], cap[BIDE_DURATION_TEXT];
    if (handler->retry.base_ms <= handler->retry.cap_ms)
        return BIDE_OK;
    const config_setting_t *group = config_setting_get_member(at, "retry");
    return bide_reader_fail(reader, group ? group : at, "retry of '%s': base (%s) is longer than cap (%s)",
        handler->type, bide_format_duration(handler->retry.base_ms, base),
        bide_format_duration(handler->retry.cap_ms, cap));
}

static bide_code check_limits(
    const struct bide_reader *reader, const config_setting_t *at, const struct bide_handler_config *handler)
{
    const struct bide_limits_config *limits = &handler->limits;
    bool limited = limits->memory || limits->cpu_ms || limits->files || limits->no_new_privs;
    if (!limited || handler->isolation == BIDE_ISOLATION_PROCESS)
        return BIDE_OK;
    return bide_reader_fail(reader, config_setting_get_member(at, "limits"),
        "limits of '%s' need isolation = \"process\": a thread shares all it uses with the whole worker",
        handler->type);
}

static bide_code check_breaker(
    const struct bide_reader *reader, const config_setting_t *at, const struct bide_handler_config *handler)
{
    char pause[BIDE_DURATION_TEXT], longest[BIDE_DURATION_TEXT];
    const config_setting_t *group = config_setting_get_member(at, "breaker");
    if (group && !config_setting_get_member(group, "failure_rate"))
        return bide_reader_fail(reader, group,
            "breaker of '%s' needs a failure_rate (0.5: it opens when half of the runs fail)", handler->type);
    if (handler->breaker.pause_ms <= handler->breaker.max_pause_ms)
        return BIDE_OK;
    return bide_reader_fail(reader, group ? group : at,
        "breaker of '%s': pause (%s) is longer than max_pause (%s)", handler->type,
        bide_format_duration(handler->breaker.pause_ms, pause),
        bide_format_duration(handler->breaker.max_pause_ms, longest));
}

static bool is_key(const char *key)
{
    if (strncmp(key, "header:", 7) == 0)
        return key[7] != 0;
    return strncmp(key, "json:/", 6) == 0 || strcmp(key, "type") == 0 || strcmp(key, "queue") == 0;
}

static bide_code check_shared_limits(
    const struct bide_reader *reader, const config_t *file, const struct bide_config *config)
{
    for (size_t i = 0; i < config->n_limits; i++) {
        const struct bide_shared_limit_config *limit = &config->limits[i];
        const config_setting_t *at = element(file, "limits", i);
        if (bide_config_limit(config, limit->name) != limit)
            return bide_reader_fail(reader, at, "limit '%s' is defined twice", limit->name);
        if (limit->rate.n == 0 && limit->concurrency == 0)
            return bide_reader_fail(
                reader, at, "limit '%s' needs a rate (\"100/1m\"), a concurrency, or both", limit->name);
        if (limit->key && !is_key(limit->key))
            return bide_reader_fail(reader, config_setting_get_member(at, "key"),
                "key of limit '%s' is '%.100s': it must be \"header:NAME\", \"json:/POINTER\", \"type\" or "
                "\"queue\"",
                limit->name, limit->key);
    }
    return BIDE_OK;
}

static bide_code unknown_limit(const struct bide_reader *reader, const config_setting_t *at,
    const struct bide_config *config, const char *name)
{
    const char *known[64] = {0};
    char hint[BIDE_SUGGEST_TEXT];
    for (size_t i = 0; i < config->n_limits && i + 1 < sizeof known / sizeof known[0]; i++)
        known[i] = config->limits[i].name;
    return bide_reader_fail(
        reader, at, "no limit '%.100s' in `limits`%s", name, bide_suggest(name, known, hint));
}

static bide_code check_limited_by(const struct bide_reader *reader, const config_setting_t *at,
    const struct bide_config *config, const struct bide_handler_config *handler)
{
    const config_setting_t *given = config_setting_get_member(at, "limited_by");
    for (size_t i = 0; handler->limited_by && handler->limited_by[i]; i++) {
        if (i == BIDE_LIMITED_BY_MAX)
            return bide_reader_fail(
                reader, given, "limited_by of '%s': at most %d", handler->type, BIDE_LIMITED_BY_MAX);
        if (!bide_config_limit(config, handler->limited_by[i]))
            return unknown_limit(reader, given, config, handler->limited_by[i]);
        for (size_t j = 0; j < i; j++)
            if (strcmp(handler->limited_by[i], handler->limited_by[j]) == 0)
                return bide_reader_fail(reader, given, "limited_by of '%s' names '%s' twice", handler->type,
                    handler->limited_by[i]);
    }
    return BIDE_OK;
}

static const struct bide_program_config *find_program(
    const struct bide_config *config, const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(config->programs[i].name, name) == 0)
            return &config->programs[i];
    return NULL;
}

static bide_code unknown_program(const struct bide_reader *reader, const config_setting_t *at,
    const struct bide_config *config, const char *name)
{
    const char *known[64] = {0};
    char hint[BIDE_SUGGEST_TEXT];
    for (size_t i = 0; i < config->n_programs && i + 1 < sizeof known / sizeof known[0]; i++)
        known[i] = config->programs[i].name;
    return bide_reader_fail(reader, config_setting_get_member(at, "program"),
        "no program '%.100s' in `programs`%s", name, bide_suggest(name, known, hint));
}

/* Checks that the handler has a plugin or a program, and only options that fit. */
static bide_code check_runner(const struct bide_reader *reader, const config_setting_t *at,
    const struct bide_config *config, struct bide_handler_config *handler)
{
    if (!handler->program)
        return handler->plugin ? BIDE_OK
                               : bide_reader_fail(reader, at, "this needs a `plugin` or a `program`");
    if (handler->plugin)
        return bide_reader_fail(
            reader, at, "handler '%s' has a plugin and a program: give one of them", handler->type);
    if (!find_program(config, handler->program, config->n_programs))
        return unknown_program(reader, at, config, handler->program);
    if (handler->isolation == BIDE_ISOLATION_PROCESS)
        return bide_reader_fail(reader, config_setting_get_member(at, "isolation"),
            "isolation is for plugins: a program has processes of its own");
    if (handler->n_settings > 0)
        return bide_reader_fail(reader, config_setting_get_member(at, "settings"),
            "settings are for plugins: give a program its own by `env` or arguments");
    handler->plugin = bide_strdup(handler->program);
    return handler->plugin ? BIDE_OK : bide_reader_nomem(reader);
}

static bide_code check_programs(
    const struct bide_reader *reader, const config_t *file, const struct bide_config *config)
{
    for (size_t i = 0; i < config->n_programs; i++) {
        const struct bide_program_config *program = &config->programs[i];
        const config_setting_t *at = element(file, "programs", i);
        if (find_program(config, program->name, i))
            return bide_reader_fail(reader, at, "program '%s' is listed twice", program->name);
        if (program->limits.cpu_ms)
            return bide_reader_fail(reader, config_setting_get_member(at, "limits"),
                "limits.cpu is for one message, and a process of a program runs many: use the handler's "
                "timeout");
        for (char *const *entry = program->env; entry && *entry; entry++)
            if (!strchr(*entry, '=') || **entry == '=')
                return bide_reader_fail(
                    reader, config_setting_get_member(at, "env"), "env: '%.40s' is not NAME=value", *entry);
    }
    return BIDE_OK;
}

/* Of one type there is a handler for each subscription, and one for all else. */
static bide_code check_single(
    const struct bide_reader *reader, const config_setting_t *at, const struct bide_config *config, size_t i)
{
    const struct bide_handler_config *handler = &config->handlers[i], *other = config->handlers;
    for (; other < handler; other++) {
        bool same = handler->on && other->on ? strcmp(handler->on, other->on) == 0 : handler->on == other->on;
        if (same && strcmp(other->type, handler->type) == 0)
            return bide_reader_fail(reader, at,
                "type '%s' has a handler%s%s already, at %s:%d: one handler a type%s", handler->type,
                handler->on ? " on " : "", handler->on ? handler->on : "", other->file, other->line,
                handler->on ? " and subscription" : "");
    }
    return BIDE_OK;
}

static bide_code check_handler(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config, size_t i)
{
    struct bide_handler_config *handler = &config->handlers[i];
    const config_setting_t *at = element(file, "handlers", i);
    const char *where = bide_source_file(reader->source, (int)config_setting_source_line(at), &handler->line);
    if (!(handler->file = bide_strdup(where)))
        return bide_reader_nomem(reader);
    bide_code code = check_single(reader, at, config, i);
    if (code != BIDE_OK)
        return code;
    if (handler->on_dead && strcmp(handler->on_dead, handler->type) == 0)
        return bide_reader_fail(reader, config_setting_get_member(at, "on_dead"),
            "on_dead of '%s' names its own type: name another one, whose handler tells somebody",
            handler->type);
    if (!find_queue(config, handler->queue, config->n_queues))
        return unlisted_queue(reader, at, config, i);
    code = check_runner(reader, at, config, handler);
    if (code == BIDE_OK)
        code = check_limits(reader, at, handler);
    if (code == BIDE_OK)
        code = check_limited_by(reader, at, config, handler);
    if (code == BIDE_OK)
        code = check_breaker(reader, at, handler);
    return code == BIDE_OK ? check_retry(reader, at, handler) : code;
}

static bool is_printable(const char *text)
{
    while (*text > ' ' && *text < 0x7F)
        text++;
    return !*text;
}

/* A token whose variable is not set is left to bide_config_complete. */
static bide_code check_tokens(
    const struct bide_reader *reader, const config_t *file, const struct bide_http_config *http)
{
    const struct {
        const char *key, *path, *token;
    } rows[] = {{"token", "http.token", http->token}, {"read_token", "http.read_token", http->read_token},
        {"send_token", "http.send_token", http->send_token}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *token = rows[i].token;
        if (!token || strncmp(token, "${", 2) == 0)
            continue;
        if (strlen(token) < TOKEN_MIN || !is_printable(token))
            return bide_reader_fail(reader, config_lookup(file, rows[i].path),
                "http.%s: a token has at least %d printable ASCII characters without blanks, so that nobody "
                "guesses "
                "it: `openssl rand -hex 24` makes one",
                rows[i].key, TOKEN_MIN);
    }
    return BIDE_OK;
}

static bide_code check_send_socket(
    const struct bide_reader *reader, const config_t *file, const struct bide_http_config *http)
{
    const char *path = http->send_socket;
    if (!path || (*path == '/' && strlen(path) < SOCKET_PATH) || strncmp(path, "${", 2) == 0)
        return BIDE_OK;
    return bide_reader_fail(reader, config_lookup(file, "http.send_socket"),
        "http.send_socket: '%s' is no absolute path of less than %d bytes", path, SOCKET_PATH);
}

static bide_code check_http(
    const struct bide_reader *reader, const config_t *file, const struct bide_http_config *http)
{
    struct bide_listen listen;
    bide_error inner = {0};
    const config_setting_t *at = config_lookup(file, "http.listen");
    bide_code code = check_send_socket(reader, file, http);
    if (code != BIDE_OK || !http->listen)
        return code;
    if (bide_listen_parse(http->listen, &listen, &inner) != BIDE_OK)
        return bide_reader_fail(reader, at, "http.listen: %s", inner.text);
    if (!listen.loopback && !http->token && !http->read_token && !http->send_token)
        return bide_reader_fail(reader, at,
            "http.listen: '%s' can be reached from other machines: add token = \"${BIDE_HTTP_TOKEN}\"; or "
            "listen on 127.0.0.1",
            http->listen);
    return check_tokens(reader, file, http);
}

/* Whether there is a store for such an URL is said by who opens it. */
static bide_code check_store(
    const struct bide_reader *reader, const config_t *file, const struct bide_config *config)
{
    struct bide_url url = {0};
    bide_error why;
    bide_code code = config->store ? bide_url_parse(config->store, &url, &why) : BIDE_OK;
    bide_url_clear(&url);
    if (code == BIDE_OK)
        return BIDE_OK;
    if (code == BIDE_E_NOMEM)
        return bide_reader_nomem(reader);
    return bide_reader_fail(reader, config_lookup(file, "store"), "store: %s", why.text);
}

bide_code bide_config_check(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config)
{
    bide_code code = check_queues(reader, file, config);
    if (code == BIDE_OK)
        code = check_programs(reader, file, config);
    if (code == BIDE_OK)
        code = check_shared_limits(reader, file, config);
    if (code == BIDE_OK)
        code = check_store(reader, file, config);
    if (code == BIDE_OK)
        code = check_http(reader, file, &config->http);
    if (code == BIDE_OK)
        code = bide_config_check_topics(reader, file, config);
    if (code == BIDE_OK)
        code = add_queues(reader, config);
    for (size_t i = 0; i < config->n_handlers && code == BIDE_OK; i++)
        code = check_handler(reader, file, config, i);
    if (code == BIDE_OK)
        code = bide_config_check_relays(reader, file, config);
    return code == BIDE_OK ? bide_config_check_schedules(reader, file, config) : code;
}
