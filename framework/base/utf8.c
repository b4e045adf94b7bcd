#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* Lead byte ranges with the range their second byte must have (RFC 3629, section 4). */
static const struct {
    uint8_t first, last, length, second_min, second_max;
} forms[] = {
    {0x00, 0x7F, 1, 0, 0},
    {0xC2, 0xDF, 2, 0x80, 0xBF},
    {0xE0, 0xE0, 3, 0xA0, 0xBF},
    {0xE1, 0xEC, 3, 0x80, 0xBF},
    {0xED, 0xED, 3, 0x80, 0x9F},
    {0xEE, 0xEF, 3, 0x80, 0xBF},
    {0xF0, 0xF0, 4, 0x90, 0xBF},
    {0xF1, 0xF3, 4, 0x80, 0xBF},
    {0xF4, 0xF4, 4, 0x80, 0x8F},
};

static bool continues(const char *text, size_t length, uint8_t second_min, uint8_t second_max)
{
    uint8_t second = (uint8_t)text[1];
    if (second < second_min || second > second_max)
        return false;
    for (size_t i = 2; i < length; i++)
        if (((uint8_t)text[i] & 0xC0) != 0x80)
            return false;
    return true;
}

size_t bide_utf8_length(const char *text, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t lead = (uint8_t)text[0];
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (lead < forms[i].first || lead > forms[i].last)
            continue;
        size_t length = forms[i].length;
        if (length == 1)
            return 1;
        return length <= size && continues(text, length, forms[i].second_min, forms[i].second_max) ? length
                                                                                                   : 0;
    }
    return 0;
}

bool bide_utf8_valid(const char *text, size_t size)
{
    while (size) {
        size_t length = bide_utf8_length(text, size);
        if (!length)
            return false;
        text += length;
        size -= length;
    }
    return true;
}

const char *bide_utf8_tail(const char *text, size_t max)
{
    size_t size = strlen(text);
    if (size <= max)
        return text;
    const char *tail = text + size - max;
    for (int i = 0; i < 3 && ((uint8_t)*tail & 0xC0) == 0x80; i++)
        tail++;
    return tail;
}
