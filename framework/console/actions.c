/* POST /pause/NAME, /resume/NAME, /quiet, /unquiet: change the controls and wake the workers. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/suggest.h"
#include "bide/log.h"
#include "console/serving.h"

enum { KNOWN_MAX = 200 };

static bool is_known(const struct bide_config *config, const char *name)
{
    for (size_t i = 0; i < config->n_queues; i++)
        if (strcmp(config->queues[i].name, name) == 0)
            return true;
    return bide_config_handler(config, name) || bide_config_handler_named(config, name);
}

/* Names the nearest queue or type in the error. */
static void refuse_unknown(const struct bide_config *config, const char *name, struct bide_reply *reply)
{
    const char *known[KNOWN_MAX + 1] = {0};
    char hint[BIDE_SUGGEST_TEXT], text[BIDE_SUGGEST_TEXT + 200];
    size_t n = 0;
    for (size_t i = 0; i < config->n_queues && n < KNOWN_MAX; i++)
        known[n++] = config->queues[i].name;
    for (size_t i = 0; i < config->n_handlers && n < KNOWN_MAX; i++)
        known[n++] = bide_handler_name(&config->handlers[i]);
    snprintf(text, sizeof text, "neither a queue nor a type of this worker's configuration%s",
        bide_suggest(name, known, hint));
    bide_reply_error(reply, 404, text);
}

static void answer(struct bide_reply *reply, const char *key, const char *name)
{
    bide_buffer_char(&reply->body, '{');
    if (name)
        bide_json_text(&reply->body, key, name);
    else
        bide_json_bool(&reply->body, key, true);
    bide_buffer_char(&reply->body, '}');
}

void bide_serve_pause(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    struct bide_shared *shared = console->options->shared;
    if (!is_known(console->options->config, request->name)) {
        refuse_unknown(console->options->config, request->name, reply);
        return;
    }
    if (!bide_controls_pause(&shared->controls, request->name)) {
        bide_reply_error(reply, 409, "too many names are paused");
        return;
    }
    bide_shared_wake(shared);
    bide_log(BIDE_LOG_INFO, "paused", BIDE_STR("name", request->name));
    answer(reply, "paused", request->name);
}

/* A paused queue or type may be resumed even if the configuration no longer has it. */
void bide_serve_resume(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    struct bide_shared *shared = console->options->shared;
    bool was = bide_controls_resume(&shared->controls, request->name);
    if (!was && !is_known(console->options->config, request->name)) {
        bide_reply_error(reply, 404, "neither paused nor a queue or a type of this worker's configuration");
        return;
    }
    bide_shared_wake(shared);
    if (was)
        bide_log(BIDE_LOG_INFO, "resumed", BIDE_STR("name", request->name));
    answer(reply, "resumed", request->name);
}

static void set_quiet(struct bide_console *console, bool quiet)
{
    struct bide_shared *shared = console->options->shared;
    bide_controls_set_quiet(&shared->controls, quiet);
    bide_shared_wake(shared);
    bide_log(BIDE_LOG_INFO, quiet ? "quiet: nothing new is taken" : "no longer quiet");
}

void bide_serve_quiet(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    (void)request;
    set_quiet(console, true);
    answer(reply, "quiet", NULL);
}

void bide_serve_unquiet(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    (void)request;
    set_quiet(console, false);
    answer(reply, "unquiet", NULL);
}
