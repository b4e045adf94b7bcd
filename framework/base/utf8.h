/* base/utf8.h: checks UTF-8. (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF.) Any thread. */
#ifndef BIDE_BASE_UTF8_H
#define BIDE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the character that begins here (1 … 4), or 0 if there is none within `size` bytes. */
size_t bide_utf8_length(const char *text, size_t size);
bool bide_utf8_valid(const char *text, size_t size);

/* The last `max` bytes of a text, or a few less so that no character is split. */
const char *bide_utf8_tail(const char *text, size_t max);

#endif
