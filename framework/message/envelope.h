/* message/envelope.h: a message as JSON, for people and scripts (`bide send --lines`, `bide dead show
 * --json`).
 *
 * Thread-safety: any thread; nothing is kept between calls. Failures: BIDE_E_DATA with a text that names the
 * key, BIDE_E_NOMEM. */
#ifndef BIDE_MESSAGE_ENVELOPE_H
#define BIDE_MESSAGE_ENVELOPE_H

#include <stddef.h>

#include "base/buffer.h"
#include "message/message.h"

/* One JSON object -> a message that is not stamped yet:
 *
 *     {"type":"probe", "body":{…} or "text" or "body_base64":"…", "delay":"1.5s" or
 * "at":"2026-12-24T18:00:00Z", "queue":"…", "id":"…", "headers":{"name":"value"}, "expires":"10m",
 * "content_type":"…", "unique":"…",
 * "unique_for":"1h", "on_conflict":"replace", "max_wait":"30m"}
 *
 * A body that is not a string is the JSON itself, without white space outside of its strings and otherwise as
 * it was written; its content type is then application/json if none is given. Unknown, repeated and
 * contradicting keys are refused. */
bide_code bide_envelope_parse(
    const char *text, size_t size, struct bide_message **ret_message, bide_error *error);

/* Appends what a message carries, as members of an object without its braces:
 *     "content_type":"…","headers":{…},"body":"…"
 * A body that is not UTF-8 becomes "body_base64". */
void bide_envelope_add_content(struct bide_buffer *to, const struct bide_message *message);

#endif
