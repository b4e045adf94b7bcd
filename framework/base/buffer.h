/* base/buffer.h: a growing run of bytes, always followed by a NUL that does not count.
 *
 * Invariants: `bytes` is never NULL after bide_buffer_init; `bytes[size]` is '\0'. A failed growth sets
 * `failed`, and every later append is ignored: append freely, check once. The appended bytes must not be part
 * of the buffer itself. Thread-safety: one thread at a time. */
#ifndef BIDE_BASE_BUFFER_H
#define BIDE_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "bide/export.h"

struct bide_buffer {
    char *bytes;
    size_t size;
    size_t capacity; /* 0: `bytes` is the shared empty text, not to be written */
    bool failed;
};

void bide_buffer_init(struct bide_buffer *buffer);
/* Frees the bytes and makes the buffer empty and usable again. */
void bide_buffer_release(struct bide_buffer *buffer);
/* Keeps the memory; forgets the content and `failed`. */
void bide_buffer_clear(struct bide_buffer *buffer);
void bide_buffer_add(struct bide_buffer *buffer, const void *bytes, size_t size);
void bide_buffer_text(struct bide_buffer *buffer, const char *text);
void bide_buffer_char(struct bide_buffer *buffer, char c);
void bide_buffer_format(struct bide_buffer *buffer, const char *format, ...) BIDE_PRINTF(2, 3);
/* Makes room for `more` bytes behind the content. Returns where to write them, or NULL; then add them to
 * `size`. */
char *bide_buffer_reserve(struct bide_buffer *buffer, size_t more);
/* Returns the bytes, which the caller must bide_free, and leaves the buffer empty. NULL if the buffer had
 * failed. */
char *bide_buffer_take(struct bide_buffer *buffer);

#endif
