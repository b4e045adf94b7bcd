/* base/utf8.h: is it text? (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF.) Any thread. */
#ifndef BIDE_BASE_UTF8_H
#define BIDE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character that begins here (1 … 4), or 0 where none does within `size` bytes. */
size_t bide_utf8_length(const char *text, size_t size);
bool bide_utf8_valid(const char *text, size_t size);

/* Where the last `max` bytes of a text begin, or less of them where that would split a character. */
const char *bide_utf8_tail(const char *text, size_t max);

#endif
