/* message/message.h: the inside of a message, for adapters, dispatch and outcome.
 *
 * A message and nearly all of its strings lie in one allocation. Strings are never NULL; unset is "".
 * Ownership and thread-safety as in bide/message.h. */
#ifndef BIDE_MESSAGE_MESSAGE_H
#define BIDE_MESSAGE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/names.h"
#include "bide/message.h"

struct bide_header {
    const char *name;
    const char *value;
};

struct bide_message {
    const char *id;
    const char *type;
    const char *queue;
    const char *content_type;
    const char *error;    /* last failure */
    const char *failures; /* all of them: message/failures.h */
    const void *body;     /* followed by a NUL that does not count */
    size_t body_size;
    struct bide_header *headers;
    size_t n_headers;
    int64_t delay_ms;         /* before sending: counted from then; -1: due_ms stands */
    int64_t due_ms;           /* 0 only before sending */
    int64_t sent_ms;          /* 0: unknown (a foreign producer) */
    int64_t expires_after_ms; /* before sending: counted from due; 0: never */
    int64_t expires_ms;       /* absolute; 0: never */
    int attempt;              /* of the next (or present) run; 1 for the first */
    struct bide_arena arena;
};

struct bide_slice {
    const char *bytes;
    size_t size;
};

/* What an adapter read from its broker, still in the client library's memory. Absent strings: {NULL, 0}. */
struct bide_message_parts {
    struct bide_slice id, type, queue, content_type, error, failures, body;
    const struct bide_header *headers;
    size_t n_headers;
    int64_t due_ms, sent_ms, expires_ms;
    int attempt; /* less than 1 is read as 1 */
};

/* What n headers' names and values take together: at most BIDE_HEADERS_BYTES in a message that we made. */
size_t bide_headers_bytes(const struct bide_header *headers, size_t n);

/* A message of its own from parts, in one allocation; NULL where there is no memory. Checks nothing: names
 * are judged by bide_name_valid and by routing. A NUL inside a name ends it. */
struct bide_message *bide_message_from_parts(const struct bide_message_parts *parts);

/* Fixes what was left open, at the moment of sending: id, queue, sent, due, expires, attempt. Calling it
 * again changes nothing (a second try to send keeps id and due). */
bide_code bide_message_stamp(struct bide_message *message, const char *default_queue,
    const struct bide_clock *clock, bide_error *error);

enum { BIDE_ID_TEXT = 37 };
/* A UUID version 7 (RFC 9562): 48 bits of Unix ms, 12 that count within it from a random start, 62 random
 * bits. The ids of one thread ascend, also when the clock is set back. Any thread. */
void bide_id_generate(char to[BIDE_ID_TEXT], const struct bide_clock *clock);

#endif
