/* POST /streams, GET /streams, GET /streams/ID, POST /streams/ID/cancel (docs/streams.md). */
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/units.h"
#include "console/serving.h"
#include "producer/configured.h"
#include "streams/manage.h"

/* BIDE_E_DATA and BIDE_E_USAGE: what was asked is wrong. */
static void refuse(struct bide_reply *reply, bide_code code, const bide_error *error)
{
    if (code == BIDE_E_NOT_FOUND)
        bide_reply_error(reply, 404, error->text);
    else if (code == BIDE_E_DATA || code == BIDE_E_USAGE)
        bide_reply_error(reply, 400, error->text);
    else
        bide_reply_failure(reply, code, error);
}

/* ---- sending ---- */

/* A stream that a request asks for. */
struct task {
    const char *type;
    bide_stream_options options;
    char *names; /* of subscriptions; owned, with the array */
    const char **subscriptions;
};

static bide_code read_names(struct task *task, const char *given, bide_error *error)
{
    task->names = bide_strdup(given);
    task->subscriptions = bide_calloc(BIDE_STREAM_QUEUES_MAX + 1, sizeof *task->subscriptions);
    if (!task->names || !task->subscriptions)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    size_t n = 0;
    for (char *rest = task->names, *name; n <= BIDE_STREAM_QUEUES_MAX && (name = strsep(&rest, ","));)
        task->subscriptions[n++] = name;
    task->options.subscriptions = task->subscriptions;
    task->options.n_subscriptions = n;
    return BIDE_OK;
}

static bide_code read_task(const struct bide_request *request, struct task *task, bide_error *error)
{
    const char *deadline = bide_request_query(request, "deadline"),
               *names = bide_request_query(request, "for");
    bide_code code = BIDE_OK;
    task->type = bide_request_query(request, "type");
    task->options = (bide_stream_options){.queue = bide_request_query(request, "queue"),
        .topic = bide_request_query(request, "topic"),
        .name = bide_request_query(request, "name"),
        .on_end = bide_request_query(request, "on_end")};
    if (!task->type)
        code = bide_fail(error, BIDE_E_USAGE,
            "the query says what and where: type=T and queue=Q, or topic=T and for=SUB,SUB; name, on_end, "
            "deadline");
    if (code == BIDE_OK && deadline)
        code = bide_parse_duration(deadline, &task->options.deadline_ms, error);
    return code == BIDE_OK && names ? read_names(task, names, error) : code;
}

static bide_code add_line(
    bide_stream *stream, const char *type, const char *text, size_t size, bide_error *error)
{
    bide_message *message;
    bide_code code = bide_message_create(type, &message, error);
    if (code != BIDE_OK)
        return code;
    code = bide_message_set_body(message, text, size, error);
    if (code == BIDE_OK)
        return bide_stream_add(stream, message, error);
    bide_message_destroy(message);
    return code;
}

static bide_code add_lines(
    bide_stream *stream, const struct bide_request *request, const char *type, bide_error *error)
{
    const char *text = request->body, *end = text + request->body_size;
    bide_code code = BIDE_OK;
    while (text < end && code == BIDE_OK) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t size = newline ? (size_t)(newline - text) : (size_t)(end - text);
        code = add_line(stream, type, text, size, error);
        text += size + 1;
    }
    return code == BIDE_OK ? bide_stream_end(stream, error) : code;
}

static bide_code send_stream(bide_producer *producer, const struct bide_request *request,
    const struct task *task, struct bide_reply *reply, bide_error *error)
{
    bide_stream *stream;
    bide_code code = bide_stream_begin(producer, &task->options, &stream, error);
    if (code != BIDE_OK)
        return code;
    code = add_lines(stream, request, task->type, error);
    if (code == BIDE_OK) {
        bide_buffer_char(&reply->body, '{');
        bide_json_text(&reply->body, "stream", bide_stream_id(stream));
        bide_json_int(&reply->body, "total", bide_stream_count(stream));
        bide_buffer_char(&reply->body, '}');
    } else {
        bide_stream_cancel(producer, bide_stream_id(stream), NULL);
    }
    bide_stream_close(stream);
    return code;
}

void bide_serve_stream_send(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    struct task task = {0};
    bide_producer *producer = NULL;
    bide_error error = {0};
    bide_code code = read_task(request, &task, &error);
    if (code == BIDE_OK)
        code = bide_producer_open_configured(console->options->config, &producer, &error);
    if (code == BIDE_OK && task.options.topic)
        code = bide_join_configured(console->options->config, task.options.topic, task.subscriptions,
            task.options.n_subscriptions, &error);
    if (code == BIDE_OK)
        code = send_stream(producer, request, &task, reply, &error);
    bide_producer_close(producer);
    bide_free(task.subscriptions);
    bide_free(task.names);
    if (code != BIDE_OK)
        refuse(reply, code, &error);
}

/* ---- looking, cancelling ---- */

/* What is asked of a producer about one stream, or about all. */
typedef bide_code asked(
    bide_producer *producer, const struct bide_request *request, struct bide_reply *reply, bide_error *error);

static void ask(struct bide_console *console, const struct bide_request *request, asked *question,
    struct bide_reply *reply)
{
    bide_producer *producer;
    bide_error error = {0};
    bide_code code = bide_producer_open_configured(console->options->config, &producer, &error);
    if (code == BIDE_OK) {
        code = question(producer, request, reply, &error);
        bide_producer_close(producer);
    }
    if (code != BIDE_OK)
        refuse(reply, code, &error);
}

static void add(void *user, const bide_stream_view *view)
{
    struct bide_buffer *to = user;
    bide_json_open(to, NULL, '{');
    bide_stream_report(to, view);
    bide_buffer_char(to, '}');
}

static bide_code list(
    bide_producer *producer, const struct bide_request *request, struct bide_reply *reply, bide_error *error)
{
    (void)request;
    bide_buffer_char(&reply->body, '{');
    bide_json_open(&reply->body, "streams", '[');
    bide_code code = bide_stream_list(producer, add, &reply->body, error);
    bide_buffer_text(&reply->body, "]}");
    return code;
}

static bide_code show(
    bide_producer *producer, const struct bide_request *request, struct bide_reply *reply, bide_error *error)
{
    return bide_stream_show(producer, request->name, add, &reply->body, error);
}

static bide_code cancel(
    bide_producer *producer, const struct bide_request *request, struct bide_reply *reply, bide_error *error)
{
    bide_buffer_char(&reply->body, '{');
    bide_json_text(&reply->body, "stream", request->name);
    bide_json_text(&reply->body, "result", "cancelled");
    bide_buffer_char(&reply->body, '}');
    return bide_stream_cancel(producer, request->name, error);
}

void bide_serve_streams(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    ask(console, request, list, reply);
}

void bide_serve_stream(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    ask(console, request, show, reply);
}

void bide_serve_stream_cancel(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    ask(console, request, cancel, reply);
}
