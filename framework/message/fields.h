/* message/fields.h: the attributes of a message, one row each.
 *
 * Whoever carries, stores, reads or shows a message walks this table: a new attribute is a new row. The
 * columns of a row:
 *
 *   member   of struct bide_message and struct bide_message_parts; also SQLite's column and the key in JSON
 *   kind     of a number: TIME is in Unix ms, and 0 when absent; COUNT begins at 1, and is 1 when absent
 *            (a text is absent when it is empty)
 *   part     when it is carried, and who changes it:
 *              ADDRESS   always; nobody. JSON names it where a message is shown, each output in its place
 *              GIVEN     when the sender gave it; nobody. JSON shows it beside headers and body
 *              DUE       always; a retry and a replay
 *              EXPIRY    when the sender gave it; a replay drops one that has passed
 *              RUNS      after a failed run; a retry and a death change it, a replay drops it
 *   header   AMQP's; "": AMQP has a property for it (envelope/read.c and write.c know it)
 *   line     its key in Redis
 *   set      of a text: takes it from `send --lines`; NULL: nobody may give it there
 *
 * The order of the rows is that of AMQP's headers. A new text comes last; a new number comes behind the
 * numbers. SQLite adds a new column to an old file by itself. An attribute that senders give also needs a
 * setter in bide/message.h. Headers and body are not rows, because each format has its own way with them; nor
 * is what only a dead letter has (struct bide_dead_letter). Any thread. */
#ifndef BIDE_MESSAGE_FIELDS_H
#define BIDE_MESSAGE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bide/message.h"

#define BIDE_FIELDS(NUMBER, TEXT)                                                                            \
    NUMBER(due_ms, TIME, DUE, "bide-due", "due")                                                             \
    NUMBER(sent_ms, TIME, GIVEN, "bide-sent", "sent")                                                        \
    NUMBER(expires_ms, TIME, EXPIRY, "bide-expires", "expires")                                              \
    NUMBER(attempt, COUNT, RUNS, "bide-attempt", "attempt")                                                  \
    TEXT(id, ADDRESS, "", "id", bide_message_set_id)                                                         \
    TEXT(type, ADDRESS, "", "type", NULL) /* a message is made with it */                                    \
    TEXT(queue, ADDRESS, "bide-queue", "queue", bide_message_set_queue)                                      \
    TEXT(content_type, GIVEN, "", "content-type", bide_message_set_content_type)                             \
    TEXT(error, RUNS, "bide-error", "error", NULL)          /* the last failure */                           \
    TEXT(failures, RUNS, "bide-failures", "failures", NULL) /* all of them: message/failures.h */            \
    TEXT(unique, GIVEN, "bide-unique", "unique", bide_message_set_unique)                                    \
    TEXT(generation, GIVEN, "bide-generation", "generation", NULL) /* of the key: keys/slot.h */

#define BIDE_FIELD_NONE(member, ...) /* leaves the numbers, or the texts, out */

enum {
#define BIDE_FIELD_ENUM(member, ...) BIDE_FIELD_##member,
    BIDE_FIELDS(BIDE_FIELD_ENUM, BIDE_FIELD_ENUM)
#undef BIDE_FIELD_ENUM
        BIDE_N_FIELDS
};

enum bide_field_kind { BIDE_KIND_TEXT, BIDE_KIND_TIME, BIDE_KIND_COUNT };

enum bide_field_part { /* bits: sets of them are what a format asks for */
    BIDE_PART_ADDRESS = 1,
    BIDE_PART_GIVEN = 2,
    BIDE_PART_DUE = 4,
    BIDE_PART_EXPIRY = 8,
    BIDE_PART_RUNS = 16,
    BIDE_PART_ALL = 31,
};

/* A row, for formats that walk the table at run time. */
struct bide_field {
    const char *name, *header, *line;
    size_t line_size;
    enum bide_field_kind kind;
    enum bide_field_part part;
    int64_t absent;    /* number: what it is worth when nobody gave it */
    size_t in_message; /* offsets */
    size_t in_parts;
    bide_code (*set)(bide_message *message, const char *text, bide_error *error);
};

extern const struct bide_field bide_fields[BIDE_N_FIELDS];

/* The value in a struct bide_message. */
static inline const char *bide_field_text(const bide_message *message, const struct bide_field *field)
{
    return *(const char *const *)(const void *)((const char *)message + field->in_message);
}

static inline int64_t bide_field_number(const bide_message *message, const struct bide_field *field)
{
    const void *member = (const char *)message + field->in_message;
    return field->kind == BIDE_KIND_COUNT ? *(const int *)member : *(const int64_t *)member;
}

/* Where it lies in struct bide_message_parts: a struct bide_slice or an int64_t. */
struct bide_message_parts;
static inline void *bide_field_part(struct bide_message_parts *parts, const struct bide_field *field)
{
    return (char *)parts + field->in_parts;
}

#endif
