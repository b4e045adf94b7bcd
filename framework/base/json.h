/* base/json.h: writes JSON. For the members of an object or array it adds the commas itself.
 *
 * The caller writes the brackets ('{', '['), after bide_json_name where the object or array is itself a
 * member or an element. Thread-safety: as the buffer. */
#ifndef BIDE_BASE_JSON_H
#define BIDE_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* A string with its quotes; bytes that are not valid UTF-8 become U+FFFD, NULL becomes null. No comma. */
void bide_json_quote(struct bide_buffer *to, const char *text, size_t size);
/* A number of six digits, in any locale; null if it is not finite. No comma. */
void bide_json_digits(struct bide_buffer *to, double number);

/* Writes "name": in front of a value that the caller appends; name NULL: only the comma. */
void bide_json_name(struct bide_buffer *to, const char *name);
void bide_json_text(struct bide_buffer *to, const char *name, const char *text); /* NULL: null */
void bide_json_int(struct bide_buffer *to, const char *name, int64_t value);
void bide_json_count(struct bide_buffer *to, const char *name, int64_t value); /* negative: null */
void bide_json_bool(struct bide_buffer *to, const char *name, bool value);
void bide_json_number(struct bide_buffer *to, const char *name, double value); /* not finite: null */
/* "name":[ or "name":{ ; the caller closes it. */
void bide_json_open(struct bide_buffer *to, const char *name, char bracket);

#endif
