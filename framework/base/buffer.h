/* base/buffer.h: a growing run of bytes, always followed by a NUL that does not count.
 *
 * Invariants: `bytes` is never NULL after bide_buffer_init; `bytes[size]` is '\0'. A failed growth sets
 * `failed`, and every later append is ignored: append freely, check once. What is appended must not lie in
 * the buffer itself. Thread-safety: one thread at a time. */
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
/* Keeps the memory, forgets the content and a failure. */
void bide_buffer_clear(struct bide_buffer *buffer);
void bide_buffer_add(struct bide_buffer *buffer, const void *bytes, size_t size);
void bide_buffer_text(struct bide_buffer *buffer, const char *text);
void bide_buffer_char(struct bide_buffer *buffer, char c);
void bide_buffer_format(struct bide_buffer *buffer, const char *format, ...) BIDE_PRINTF(2, 3);
/* As a JSON string with its quotes; bytes that are not valid UTF-8 become U+FFFD. NULL is written as null. */
void bide_buffer_json(struct bide_buffer *buffer, const char *text, size_t size);
/* As a JSON number of six digits, in any locale; null where it is not finite. */
void bide_buffer_json_number(struct bide_buffer *buffer, double number);
/* Room for `more` bytes behind the content: where to write, or NULL; then add to `size`. */
char *bide_buffer_reserve(struct bide_buffer *buffer, size_t more);
/* The bytes, now the caller's to bide_free; the buffer is empty. NULL where it had failed. */
char *bide_buffer_take(struct bide_buffer *buffer);

#endif
