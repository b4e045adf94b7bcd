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
#include "message/fields.h"

struct bide_header {
    const char *name;
    const char *value;
};

/* What the table's columns are in C. */
typedef int64_t bide_field_TIME;
typedef int bide_field_COUNT;

struct bide_message {
#define BIDE_NUMBER(member, kind, ...) bide_field_##kind member;
#define BIDE_TEXT(member, ...) const char *member;
    BIDE_FIELDS(BIDE_NUMBER, BIDE_TEXT)
#undef BIDE_NUMBER
#undef BIDE_TEXT
    const void *body; /* followed by a NUL that does not count */
    size_t body_size;
    struct bide_header *headers;
    size_t n_headers;
    int64_t delay_ms;         /* before sending: counted from then; -1: due_ms stands */
    int64_t expires_after_ms; /* before sending: counted from due; 0: never */
    /* For sending with `unique`: */
    int64_t unique_for_ms; /* 0: until it ends */
    int64_t max_wait_ms;   /* 0: any time */
    bide_on_conflict on_conflict;
    uint64_t unique_token;    /* of its reservation; 0: it has none */
    const char *duplicate_of; /* the id of the message that held the key; "": none did */
    struct bide_arena arena;
};

struct bide_slice {
    const char *bytes;
    size_t size;
};

/* What an adapter read from its broker, still in the client library's memory. Absent strings: {NULL, 0}. An
 * attempt less than 1 is read as 1. */
struct bide_message_parts {
#define BIDE_NUMBER(member, ...) int64_t member;
#define BIDE_TEXT(member, ...) struct bide_slice member;
    BIDE_FIELDS(BIDE_NUMBER, BIDE_TEXT)
#undef BIDE_NUMBER
#undef BIDE_TEXT
    struct bide_slice body;
    const struct bide_header *headers;
    size_t n_headers;
};

/* What n headers' names and values take together: at most BIDE_HEADERS_BYTES in a message that we made. */
size_t bide_headers_bytes(const struct bide_header *headers, size_t n);

/* A message of its own from parts, in one allocation; NULL where there is no memory. Checks nothing: names
 * are judged by bide_name_valid and by routing. A NUL inside a name ends it. */
struct bide_message *bide_message_from_parts(const struct bide_message_parts *parts);
/* A message of its own that says the same; NULL where there is no memory. */
struct bide_message *bide_message_copy(const struct bide_message *message);

/* A dead letter as a replay sends it: due then, without a run, and without an expiry that would be over by
 * then. Borrows from the letter; lives as long. */
void bide_message_replay(const struct bide_message *dead, int64_t due_ms, struct bide_message *ret_again);

/* A message to a topic without any subscription, as it is parked: it did not run, and its error says so.
 * Borrows from both; lives as long. */
enum { BIDE_UNROUTED_TEXT = 100 };
void bide_message_park(
    const struct bide_message *message, char text[BIDE_UNROUTED_TEXT], struct bide_message *ret_parked);

/* Fixes what was left open, at the moment of sending: id, queue, sent, due, expires, attempt. Calling it
 * again changes nothing (a second try to send keeps id and due). */
bide_code bide_message_stamp(struct bide_message *message, const char *default_queue,
    const struct bide_clock *clock, bide_error *error);

/* Of the messages of schedules (schedules/schedule.h): its name, the slot (Unix ms), and a random text that
 * is another in each message that is sent for the slot. */
#define BIDE_SCHEDULE_HEADER "bide-schedule"
#define BIDE_SLOT_HEADER "bide-slot"
#define BIDE_COPY_HEADER "bide-copy"

/* As bide_message_set_header, for a header of the framework's own, which travels as those of applications
 * do. */
bide_code bide_message_set_mark(
    bide_message *message, const char *name, const char *value, bide_error *error);

/* Is what it says of a unique key complete? BIDE_E_DATA. */
bide_code bide_message_check_unique(const bide_message *message, bide_error *error);

/* Random, and other in each process. Any thread. */
uint64_t bide_random_number(void);

enum { BIDE_ID_TEXT = 37 };
/* A UUID version 7 (RFC 9562): 48 bits of Unix ms, 12 that count within it from a random start, 62 random
 * bits. The ids of one thread ascend, also when the clock is set back. Any thread. */
void bide_id_generate(char to[BIDE_ID_TEXT], const struct bide_clock *clock);

#endif
