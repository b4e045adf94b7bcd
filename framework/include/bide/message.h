/* bide/message.h: what travels.
 *
 * A message has an id, a type (finds the handler), a queue, a body of bytes, string headers, and times. Unset
 * strings read as "" (never NULL). All times are Unix milliseconds (wall clock).
 *
 * Ownership: a message owns copies of all it was given; what the getters return belongs to the message and
 * lives until the next set of the same field, or its end. Thread-safety: one thread at a time; a message that
 * nobody changes may be read by several. Setters fail with BIDE_E_NOMEM, or BIDE_E_DATA for a value out of
 * its limits; the message is then as before. */
#ifndef BIDE_MESSAGE_H
#define BIDE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include <bide/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_message bide_message;

enum {
    BIDE_NAME_MAX = 100,    /* bytes of a queue or type name */
    BIDE_ID_MAX = 255,      /* bytes of an id: AMQP's short string */
    BIDE_UNIQUE_MAX = 200,  /* bytes of a unique key */
    BIDE_HEADERS_MAX = 64,  /* headers of a message */
    BIDE_HEADER_MAX = 4096, /* bytes of a header's name and value together */
    BIDE_HEADERS_BYTES =
        65536, /* bytes of all headers' names and values: a frame of AMQP, with room for more */
};
#define BIDE_DELAY_MAX_MS (INT64_C(3650) * 86400 * 1000) /* the longest delay: 3650 days */

/* type: letters, digits, '-', '_', '.'; not beginning with a digit or a dot; at most BIDE_NAME_MAX bytes. */
BIDE_API bide_code bide_message_create(
    const char *type, bide_message **ret_message, bide_error *error) BIDE_MUST_USE;
BIDE_API void bide_message_destroy(bide_message *message); /* NULL is fine */

/* Without an id, sending makes one: time-ordered (UUID version 7, RFC 9562) and unique across machines. */
BIDE_API bide_code bide_message_set_id(bide_message *message, const char *id, bide_error *error);
/* Without a queue: that of the type's handler in the producer's configuration, else "default". */
BIDE_API bide_code bide_message_set_queue(bide_message *message, const char *queue, bide_error *error);
/* Instead of a queue: each subscription of the topic gets a copy (docs/topics.md). At most 49 bytes. The
 * message's queue is "@TOPIC" then, and "SUB@TOPIC" in each copy. */
BIDE_API bide_code bide_message_set_topic(bide_message *message, const char *topic, bide_error *error);
/* At most 255 bytes, no control characters; "" unsets. */
BIDE_API bide_code bide_message_set_content_type(bide_message *message, const char *type, bide_error *error);
BIDE_API bide_code bide_message_set_body(
    bide_message *message, const void *bytes, size_t size, bide_error *error);
/* Sets or replaces a header. A name has 1 to 255 bytes and no control characters; those beginning with
 * "bide-" are the framework's and are refused. */
BIDE_API bide_code bide_message_set_header(
    bide_message *message, const char *name, const char *value, bide_error *error);

/* When it may run: after a delay counted from sending (0 … BIDE_DELAY_MAX_MS), or at an instant (past: at
 * once). The later call of the two wins. */
BIDE_API bide_code bide_message_set_delay_ms(bide_message *message, int64_t delay_ms, bide_error *error);
BIDE_API bide_code bide_message_set_due_ms(bide_message *message, int64_t due_ms, bide_error *error);
/* Counted from due: a message that has not begun to run by then is dropped, as expired. 0: never. */
BIDE_API bide_code bide_message_set_expires_after_ms(
    bide_message *message, int64_t after_ms, bide_error *error);

/* What happens to a message whose unique key is taken. */
typedef enum bide_on_conflict {
    BIDE_ON_CONFLICT_SKIP,    /* it is not sent */
    BIDE_ON_CONFLICT_REPLACE, /* it is sent, and runs instead of the one that waits */
    BIDE_ON_CONFLICT_EXTEND, /* it is not sent; the one that waits becomes due when this one would be, if that
                                is later */
} bide_on_conflict;

/* At most one message with this key waits or runs (docs/unique.md). 1 to BIDE_UNIQUE_MAX bytes without
 * control characters. Sending needs a store (bide_producer_open_with_store). */
BIDE_API bide_code bide_message_set_unique(bide_message *message, const char *key, bide_error *error);
/* The key is taken for so long from sending, whatever happens; 0 (default): until the message ends. */
BIDE_API bide_code bide_message_set_unique_for_ms(bide_message *message, int64_t for_ms, bide_error *error);
BIDE_API void bide_message_set_on_conflict(bide_message *message, bide_on_conflict what);
/* "skip", "replace", "extend": BIDE_E_DATA for another word. */
BIDE_API bide_code bide_message_set_on_conflict_named(
    bide_message *message, const char *word, bide_error *error);
/* Replacing and extending never move the due time further than so long after the first message of the key was
 * sent; 0 (default): any time. */
BIDE_API bide_code bide_message_set_max_wait_ms(bide_message *message, int64_t wait_ms, bide_error *error);

BIDE_API const char *bide_message_unique(const bide_message *message); /* the key, or "" */
/* After sending (BIDE_SENT_DUPLICATE): the id of the message that held the key; else "". */
BIDE_API const char *bide_message_duplicate_of(const bide_message *message);

BIDE_API const char *bide_message_id(const bide_message *message);
BIDE_API const char *bide_message_type(const bide_message *message);
BIDE_API const char *bide_message_queue(const bide_message *message);
BIDE_API const char *bide_message_content_type(const bide_message *message);
/* The body; *ret_size (where not NULL) gets its length. A zero byte that does not count follows the body. */
BIDE_API const void *bide_message_body(const bide_message *message, size_t *ret_size);

BIDE_API size_t bide_message_header_count(const bide_message *message);
BIDE_API const char *bide_message_header_name(const bide_message *message, size_t index);
BIDE_API const char *bide_message_header_value(const bide_message *message, size_t index);
/* The value of a header, or NULL where the message has none of that name (names are case-sensitive). */
BIDE_API const char *bide_message_header(const bide_message *message, const char *name);

BIDE_API int64_t bide_message_due_ms(const bide_message *message); /* never 0 once sent */
/* When a sender first accepted it; 0: unknown. */
BIDE_API int64_t bide_message_sent_ms(const bide_message *message);
BIDE_API int64_t bide_message_expires_ms(const bide_message *message); /* absolute; 0: never */
BIDE_API int bide_message_attempt(const bide_message *message);        /* 1 for the first run */
BIDE_API const char *bide_message_error(const bide_message *message);  /* the last failure, or "" */

#ifdef __cplusplus
}
#endif

#endif
