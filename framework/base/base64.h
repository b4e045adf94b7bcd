/* base/base64.h: RFC 4648, section 4, with padding. Any thread. */
#ifndef BIDE_BASE_BASE64_H
#define BIDE_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

/* Appends the text of `size` bytes. */
void bide_base64_encode(struct bide_buffer *to, const void *bytes, size_t size);
/* Appends the decoded bytes of a text. False, with nothing appended, if it is not base64: another character,
 * a wrong length, padding elsewhere than at the end, stray bits. */
bool bide_base64_decode(struct bide_buffer *to, const char *text, size_t size);

#endif
