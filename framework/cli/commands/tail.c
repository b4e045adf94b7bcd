/* bide tail: what the workers of this configuration on this host have just run, as it happens. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "base/visible.h"
#include "cli/core/live.h"
#include "cli/core/output.h"

struct values {
    const char *type, *queue, *outcome;
};

static const struct bide_cli_option options[] = {
    {"type", BIDE_CLI_TEXT, offsetof(struct values, type), .value = "TYPE", .help = "Only this type."},
    {"queue", BIDE_CLI_TEXT, offsetof(struct values, queue), .value = "QUEUE", .help = "Only this queue."},
    {"outcome", BIDE_CLI_TEXT, offsetof(struct values, outcome), .value = "OUTCOME",
        .help = "Only done, retried, dead, expired, duplicate, superseded, cancelled or released ones."},
    {0},
};

struct tail {
    const struct bide_cli *cli;
    const struct values *values;
};

static const char *text_of(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));
    return text ? text : "";
}

static bool is_wanted(const json_t *event, const char *key, const char *wanted)
{
    return !wanted || strcmp(text_of(event, key), wanted) == 0;
}

static void add_field(struct bide_buffer *to, const char *before, const char *text)
{
    if (!*text)
        return;
    bide_buffer_text(to, before);
    bide_visible_add(to, text, strlen(text), false);
}

/* A traceparent's second part. */
static void add_trace(struct bide_buffer *to, const char *traceparent)
{
    const char *id = strchr(traceparent, '-');
    if (!id)
        return;
    bide_buffer_text(to, "  trace ");
    bide_visible_add(to, id + 1, strcspn(id + 1, "-"), false);
}

static void add_words(struct bide_buffer *to, const json_t *event)
{
    char time[BIDE_INSTANT_TEXT];
    bide_format_instant(json_integer_value(json_object_get(event, "time_ms")), time);
    bide_buffer_text(to, time);
    bide_buffer_format(to, "  %-8s ", text_of(event, "outcome"));
    add_field(to, " ", text_of(event, "type"));
    add_field(to, " ", text_of(event, "id"));
    bide_buffer_format(
        to, "  attempt %" PRId64, (int64_t)json_integer_value(json_object_get(event, "attempt")));
    if (json_is_number(json_object_get(event, "ms")))
        bide_buffer_format(to, "  %.1f ms", json_number_value(json_object_get(event, "ms")));
    add_trace(to, text_of(event, "trace"));
    add_field(to, "  ", text_of(event, "error"));
}

static void print_event(const struct tail *tail, const json_t *event, const char *line, size_t size)
{
    struct bide_buffer to;
    const json_t *missed = json_object_get(event, "missed");
    bide_buffer_init(&to);
    if (tail->cli->json)
        bide_buffer_add(&to, line, size);
    else if (missed)
        bide_buffer_format(
            &to, "(%" PRId64 " more: too fast to follow)", (int64_t)json_integer_value(missed));
    else
        add_words(&to, event);
    bide_cli_print_line(&to);
    bide_buffer_release(&to);
}

static bool take_line(void *user, const char *line, size_t size)
{
    const struct tail *tail = user;
    json_t *event = json_loadb(line, size, 0, NULL);
    bool missed = json_object_get(event, "missed") != NULL;
    if (event && (missed || (is_wanted(event, "type", tail->values->type) &&
                                is_wanted(event, "queue", tail->values->queue) &&
                                is_wanted(event, "outcome", tail->values->outcome))))
        print_event(tail, event, line, size);
    json_decref(event);
    return fflush(stdout) == 0;
}

static bide_code run(struct bide_cli *cli, void *given, bide_error *error)
{
    struct tail tail = {cli, given};
    struct bide_cli_live live;
    bide_code code = bide_cli_live_open(cli, &live, error);
    if (code != BIDE_OK)
        return code;
    code = bide_cli_live_follow(&live, "/events", take_line, &tail, error);
    bide_cli_live_close(&live);
    return code;
}

const struct bide_cli_command bide_cli_tail = {
    .name = "tail",
    .usage = "[--type TYPE] [--queue QUEUE] [--outcome OUTCOME] [options]",
    .examples = "bide tail --type mail --outcome dead",
    .summary = "Follows what runs, a line a message.",
    .details = "Of all workers of the configuration that run on this host as this user, from now on, until "
               "Ctrl-C or the end of the workers.\nA worker that is too fast to be followed is not slowed "
               "down: a line says how many were left out.",
    .options = options,
    .values_size = sizeof(struct values),
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
