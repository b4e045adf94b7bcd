#include "cli/commands/whole.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "base/utf8.h"
#include "base/visible.h"
#include "broker/broker.h"
#include "broker/report.h"
#include "message/failures.h"

/* One of several lines stands below its name. */
static void add_error(struct bide_buffer *to, const char *name, const char *error)
{
    bool lines = strchr(error, '\n') != NULL;
    bide_buffer_format(to, "%-14s%s", name, lines ? "\n" : "");
    bide_visible_add(to, *error ? error : "-", *error ? strlen(error) : 1, true);
    bide_buffer_text(to, lines && error[strlen(error) - 1] == '\n' ? "" : "\n");
}

static void add_line(struct bide_buffer *to, const char *name, const char *text)
{
    bide_buffer_format(to, "%-14s", name);
    bide_visible_add(to, text, strlen(text), false);
    bide_buffer_char(to, '\n');
}

static void add_time(struct bide_buffer *to, const char *name, int64_t ms)
{
    char text[BIDE_INSTANT_TEXT];
    add_line(to, name, ms > 0 ? bide_format_instant(ms, text) : "-");
}

static void add_body(struct bide_buffer *to, const struct bide_message *message)
{
    bide_buffer_format(
        to, "%-14s%zu bytes%s", "body", message->body_size, *message->content_type ? ", " : "");
    bide_visible_add(to, message->content_type, strlen(message->content_type), false);
    bide_buffer_char(to, '\n');
    if (bide_utf8_valid(message->body, message->body_size))
        bide_visible_add(to, message->body, message->body_size, true);
    else
        bide_buffer_text(to, "(not text: `--json` gives it in base64)");
}

/* Where there was more than the error above. */
static void add_failures(struct bide_buffer *to, const struct bide_message *message)
{
    struct bide_failures failures;
    char when[BIDE_INSTANT_TEXT];
    bide_failures_read(&failures, message->failures);
    for (size_t i = 0; failures.n > 1 && i < failures.n; i++) {
        const struct bide_failure *failure = &failures.items[i];
        size_t size;
        const char *line = bide_failure_headline(failure->error, &size);
        bide_buffer_format(
            to, "%-14s#%d %s ", "failure", failure->attempt, bide_format_instant(failure->at_ms, when));
        bide_visible_add(to, line, size, false);
        bide_buffer_char(to, '\n');
    }
    bide_failures_release(&failures);
}

static void add_headers(struct bide_buffer *to, const struct bide_message *message)
{
    for (size_t i = 0; i < message->n_headers; i++) {
        bide_buffer_format(to, "%-14s", "header");
        bide_visible_add(to, message->headers[i].name, strlen(message->headers[i].name), false);
        bide_buffer_text(to, ": ");
        bide_visible_add(to, message->headers[i].value, strlen(message->headers[i].value), false);
        bide_buffer_char(to, '\n');
    }
}

static void add_state(struct bide_buffer *to, const bide_found *found)
{
    add_line(to, "state", bide_message_state_name(found->state));
    if (found->state == BIDE_STATE_DEAD)
        add_line(to, "reason", found->reason);
    if (found->state != BIDE_STATE_RUNNING)
        return;
    add_line(to, "worker", *found->worker ? found->worker : "-");
    add_time(to, "since", found->since_ms);
}

void bide_cli_whole_text(struct bide_buffer *to, const bide_found *found)
{
    const struct bide_message *message = found->message;
    bool is_dead = found->state == BIDE_STATE_DEAD;
    char attempts[16];
    snprintf(attempts, sizeof attempts, "%d", message->attempt);
    add_line(to, "id", message->id);
    add_line(to, "type", *message->type ? message->type : "-");
    add_line(to, "queue", message->queue);
    add_state(to, found);
    if (is_dead || *message->error)
        add_error(to, "error", message->error);
    add_line(to, is_dead ? "runs" : "attempt", attempts);
    if (is_dead)
        add_time(to, "died", found->since_ms);
    add_time(to, "sent", message->sent_ms);
    add_time(to, "due", message->due_ms);
    if (message->expires_ms)
        add_time(to, "expires", message->expires_ms);
    add_headers(to, message);
    add_failures(to, message);
    add_body(to, message);
}
