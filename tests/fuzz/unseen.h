/* tests/fuzz/unseen.h: an own opinion of what a terminal must not get, written differently from
 * base/visible.c: from bytes, not from code points. */
#ifndef BIDE_TESTS_UNSEEN_H
#define BIDE_TESTS_UNSEEN_H

#include <stdbool.h>
#include <stddef.h>

/* C0 but newline and (lines) tab, DEL, C1 as UTF-8 or as single bytes, marks and overrides of direction, line
 * separators; also whatever is not UTF-8 in the way that a terminal reads it: a byte 0x80 … 0x9F alone. */
static inline bool has_unseen(const char *text, size_t size, bool lines)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t left_of_character = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = at[i], next = i + 1 < size ? at[i + 1] : 0, third = i + 2 < size ? at[i + 2] : 0;
        if ((c < 0x20 && c != '\n' && !(lines && c == '\t')) || c == 0x7F)
            return true;
        if (left_of_character == 0 && c >= 0x80 && c < 0xC0)
            return true;
        if (c == 0xC2 && next >= 0x80 && next < 0xA0)
            return true;
        if (c == 0xD8 && next == 0x9C)
            return true;
        if (c == 0xE2 && next == 0x80 && (third == 0x8E || third == 0x8F || (third >= 0xA8 && third <= 0xAE)))
            return true;
        if (c == 0xE2 && next == 0x81 && third >= 0xA6 && third <= 0xA9)
            return true;
        if (c >= 0xC0)
            left_of_character = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
        else
            left_of_character -= c >= 0x80 ? 1 : left_of_character;
    }
    return false;
}

#endif
