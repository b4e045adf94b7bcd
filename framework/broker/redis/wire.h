/* broker/redis/wire.h: a message as it lies in Redis.
 *
 *     id 01932…              lines of "key value", in any order, all but `id` optional;
 *     type mail              in values \\, \n and \t stand for a backslash, a line feed and a tab
 *     due 1734000000000
 *     h X-Trace<TAB>abc      a header of the application's
 *                            (an empty line)
 *     …body…                 bytes, to the end
 *
 * One text, so that it is one field of a stream entry and one value of a hash: few, large replies are what
 * makes reading fast, and redis-cli still shows it to people. Scripts change the lines and keep the body
 * without knowing more than "the first empty line". Foreign producers may instead give plain fields of a
 * stream entry: XADD … * type mail body hello. Thread-safety: one thread at a time. */
#ifndef BIDE_REDIS_WIRE_H
#define BIDE_REDIS_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "broker/broker.h"
#include "message/message.h"

/* The latest time that a line may give: in microseconds it is still a number. */
#define BIDE_REDIS_LATEST_MS (INT64_MAX / 1000)

/* Appends the lines of a message, or of a dead letter (letter: not NULL; its message is `message`), and the
 * empty one behind them; then add the body. */
void bide_redis_wire_write(
    struct bide_buffer *to, const struct bide_message *message, const struct bide_dead_letter *letter);

/* A message being read; its slices point into the bytes that were read. */
struct bide_redis_wire {
    struct bide_message_parts parts;
    struct bide_header headers[BIDE_HEADERS_MAX];
    size_t headers_bytes; /* of their names and values */
    enum bide_reason reason;
    int64_t died_ms;
    const char *defect; /* static: why it is malformed; NULL: it is not */
};

void bide_redis_wire_init(struct bide_redis_wire *wire);
/* Reads a whole stored message; changes the bytes (unescapes, puts NULs behind texts). What can be read is
 * read even where there is a defect. `bytes` must be writable and followed by a NUL. */
void bide_redis_wire_read(struct bide_redis_wire *wire, char *bytes, size_t size);
/* Reads one plain field of a foreign producer's entry; both followed by a NUL. */
void bide_redis_wire_field(struct bide_redis_wire *wire, const char *name, char *value, size_t size);

#endif
