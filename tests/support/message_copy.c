#include "support/message_copy.h"

#include <string.h>

#include "support/test.h"

static struct bide_slice slice_of(const char *text)
{
    return (struct bide_slice){text, strlen(text)};
}

struct bide_message *message_copy(const struct bide_message *message)
{
    struct bide_message_parts parts = {
        .id = slice_of(message->id),
        .type = slice_of(message->type),
        .queue = slice_of(message->queue),
        .content_type = slice_of(message->content_type),
        .error = slice_of(message->error),
        .failures = slice_of(message->failures),
        .body = {message->body, message->body_size},
        .headers = message->headers,
        .n_headers = message->n_headers,
        .due_ms = message->due_ms,
        .sent_ms = message->sent_ms,
        .expires_ms = message->expires_ms,
    };
    struct bide_message *copy = bide_message_from_parts(&parts);
    assert_non_null(copy);
    copy->attempt = message->attempt; /* a dead letter's may be 0 */
    copy->delay_ms = message->delay_ms;
    copy->expires_after_ms = message->expires_after_ms;
    return copy;
}
