/* POST /send: one object, or many as lines. Answers with ids once the broker has confirmed the messages
 * (docs/sending.md). */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/json.h"
#include "console/serving.h"
#include "producer/configured.h"
#include "producer/unserved.h"

enum { LINES_MAX = 10000, ROW_BYTES = 1024 }; /* ROW_BYTES: about the size of a message without its body */

/* One request. Used by its thread only. */
struct task {
    struct bide_console *console;
    bool strict, one;
    struct bide_outbox_row *rows; /* bad lines too: without a message, with `why` */
    size_t n, n_bad;
    size_t reserved; /* bytes of the outbox's budget */
};

/* ---- reading ---- */

static bool is_blank(const char *text, size_t size)
{
    while (size && memchr(" \t\r\n", text[size - 1], 4))
        size--;
    return size == 0;
}

static bide_code read_message(
    struct task *task, const char *text, size_t size, bide_message **ret_message, bide_error *error)
{
    const struct bide_config *config = task->console->options->config;
    char unserved[BIDE_UNSERVED_TEXT];
    bide_message *message;
    bide_code code = bide_message_from_line(config, text, size, &message, error);
    if (code != BIDE_OK)
        return code;
    if (task->strict &&
        bide_is_unserved(config, bide_message_type(message), bide_message_queue(message), unserved)) {
        bide_message_destroy(message);
        return bide_fail(error, BIDE_E_DATA, "%s", unserved);
    }
    *ret_message = message;
    return BIDE_OK;
}

/* Returns 0, or the status with which the whole request is refused. */
static unsigned read_row(struct task *task, size_t line, const char *text, size_t size, const char **ret_why)
{
    struct bide_outbox_row *row = &task->rows[task->n];
    bide_error error = {0};
    if (!bide_outbox_reserve(&task->console->outbox, size + ROW_BYTES)) {
        *ret_why = "too much waits to be sent: try again";
        return 429;
    }
    task->reserved += size + ROW_BYTES;
    *row = (struct bide_outbox_row){.line = line, .result = BIDE_SENT_REFUSED};
    bide_code code = read_message(task, text, size, &row->message, &error);
    if (code != BIDE_OK && !(row->why = bide_strdup(error.text))) {
        *ret_why = "out of memory";
        return 503;
    }
    task->n_bad += code != BIDE_OK;
    task->n++;
    return 0;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t n = 1;
    for (const char *at = text; (at = memchr(at, '\n', size - (size_t)(at - text))); at++)
        n++;
    return n;
}

static unsigned read_rows(struct task *task, const char *text, size_t size, const char **ret_why)
{
    size_t most = task->one ? 1 : count_lines(text, size), line = 1;
    if (most > LINES_MAX + 1) {
        *ret_why = "more than 10000 lines: send them in several requests";
        return 413;
    }
    task->rows = bide_calloc(most, sizeof *task->rows);
    if (!task->rows) {
        *ret_why = "out of memory";
        return 503;
    }
    for (const char *end = text + size; text < end; line++) {
        const char *newline = task->one ? NULL : memchr(text, '\n', (size_t)(end - text));
        size_t length = newline ? (size_t)(newline - text) : (size_t)(end - text);
        unsigned status = is_blank(text, length) ? 0 : read_row(task, line, text, length, ret_why);
        if (status)
            return status;
        text += length + 1;
    }
    *ret_why = "nothing to send: a JSON object, or one a line";
    return task->n ? 0 : 400;
}

/* ---- answering ---- */

static void add_error(struct bide_buffer *to, size_t line, const char *text)
{
    bide_buffer_char(to, '{');
    bide_json_int(to, "line", (int64_t)line);
    bide_json_text(to, "error", text);
    bide_buffer_text(to, "}\n");
}

/* The id is that of the message that has the key. */
static void add_duplicate(struct bide_buffer *to, const struct bide_outbox_row *row)
{
    bide_buffer_char(to, '{');
    bide_json_int(to, "line", (int64_t)row->line);
    bide_json_text(to, "duplicate", bide_message_duplicate_of(row->message));
    bide_buffer_text(to, "}\n");
}

static const char *why_not(const struct task *task, const struct bide_outbox_row *row,
    const bide_error *error, char to[BIDE_ERROR_SIZE])
{
    if (row->result == BIDE_SENT_REFUSED)
        return row->why ? row->why : "refused";
    if (task->strict && task->n_bad)
        return "not sent: another line is bad (strict)";
    snprintf(to, BIDE_ERROR_SIZE, "not confirmed (the broker may or may not have it): %s", error->text);
    return to;
}

static void answer(const struct task *task, const bide_error *error, struct bide_reply *reply)
{
    char text[BIDE_ERROR_SIZE];
    bool all_confirmed = true, all_good = true, none_unknown = true;
    for (size_t i = 0; i < task->n; i++) {
        const struct bide_outbox_row *row = &task->rows[i];
        if (row->result == BIDE_SENT_OK)
            bide_buffer_format(&reply->body, "%s\n", bide_message_id(row->message));
        else if (row->result == BIDE_SENT_DUPLICATE)
            add_duplicate(&reply->body, row);
        else
            add_error(&reply->body, row->line, why_not(task, row, error, text));
        all_good = all_good && (row->result == BIDE_SENT_OK || row->result == BIDE_SENT_DUPLICATE);
        all_confirmed = all_confirmed && row->result == BIDE_SENT_OK;
        none_unknown = none_unknown && row->result != BIDE_SENT_UNKNOWN;
    }
    reply->type = all_confirmed ? "text/plain; charset=utf-8" : "application/x-ndjson";
    reply->status = all_good ? 200 : none_unknown || (task->strict && task->n_bad) ? 400 : 503;
}

/* Sends the good rows. The outbox wants an array without bad rows, so they are copied there, and their
 * results back. */
static bide_code send_rows(struct task *task, bide_error *error)
{
    struct bide_outbox_request request = {.rows = bide_calloc(task->n, sizeof *request.rows)};
    if (!request.rows)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < task->n; i++)
        if (task->rows[i].message) {
            task->rows[i].result = BIDE_SENT_UNKNOWN;
            request.rows[request.n++] = task->rows[i];
        }
    if (request.n)
        bide_outbox_send(&task->console->outbox, &request);
    for (size_t i = 0, at = 0; i < task->n; i++)
        if (task->rows[i].message)
            task->rows[i] = request.rows[at++];
    *error = request.error;
    bide_free(request.rows);
    return BIDE_OK;
}

static void perform(struct task *task, struct bide_reply *reply)
{
    bide_error error = {0};
    if (task->strict && task->n_bad) {
        for (size_t i = 0; i < task->n; i++)
            if (task->rows[i].message)
                task->rows[i].result = BIDE_SENT_UNKNOWN;
    } else if (send_rows(task, &error) != BIDE_OK) {
        bide_reply_error(reply, 503, error.text);
        return;
    }
    answer(task, &error, reply);
}

static void release(struct task *task)
{
    for (size_t i = 0; i < task->n; i++) {
        bide_message_destroy(task->rows[i].message);
        bide_free(task->rows[i].why);
    }
    bide_free(task->rows);
    bide_outbox_release(&task->console->outbox, task->reserved);
}

void bide_serve_send(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    static const char json[] = "application/json";
    const char *why = NULL, *type = bide_request_header(request, "Content-Type");
    struct task task = {.console = console,
        .strict = bide_request_has(request, "strict"),
        .one = type && strncasecmp(type, json, sizeof json - 1) == 0 &&
               strchr("; \t", type[sizeof json - 1])}; /* or the text ends there */
    unsigned status = read_rows(&task, request->body, request->body_size, &why);
    if (status)
        bide_reply_error(reply, status, why);
    else
        perform(&task, reply);
    release(&task);
}
