#include "base/visible.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

/* The code of a character of two or three bytes; all characters of one byte are below DEL. */
static uint32_t code_of(const unsigned char *at, size_t length)
{
    return length == 2 ? (at[0] & 0x1Fu) << 6 | (at[1] & 0x3Fu)
                       : (at[0] & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
}

static bool is_unseen(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x00, 0x1F}, {0x7F, 0x9F}, {0x061C, 0x061C}, {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

size_t bide_visible_character(const char *text, size_t size, size_t *ret_size)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] >= 0x20 && at[0] < 0x7F)
        return *ret_size = 1;
    size_t length = bide_utf8_length(text, size);
    *ret_size = length ? length : 1;
    if (length == 1 || ((length == 2 || length == 3) && is_unseen(code_of(at, length))))
        return 0;
    return length;
}

void bide_visible_add(struct bide_buffer *to, const char *text, size_t size, bool lines)
{
    for (size_t i = 0, length; i < size; i += length) {
        bool shown = bide_visible_character(text + i, size - i, &length) > 0;
        if (shown || (lines && (text[i] == '\n' || text[i] == '\t')))
            bide_buffer_add(to, text + i, length);
        else
            bide_buffer_char(to, '?');
    }
}

void bide_visible_line(char *text)
{
    size_t size = strlen(text), length;
    char *to = text;
    for (size_t i = 0; i < size; i += length) {
        size_t shown = bide_visible_character(text + i, size - i, &length);
        bool broken = shown == 0 && bide_utf8_length(text + i, size - i) == 0;
        memmove(to, text + i, shown);
        if (shown == 0)
            *to++ = broken ? '?' : ' ';
        to += shown;
    }
    *to = '\0';
}

void bide_visible_escape(struct bide_buffer *to, const char *at, size_t size)
{
    size_t length = bide_utf8_length(at, size);
    if (length == 0)
        bide_buffer_text(to, "\xEF\xBF\xBD");
    else
        bide_buffer_format(to, "\\u%04x",
            (unsigned)(length == 1 ? (unsigned char)*at : code_of((const unsigned char *)at, length)));
}

void bide_visible_json(struct bide_buffer *json, size_t from)
{
    struct bide_buffer shown;
    size_t length, i = from;
    for (; i < json->size; i += length) /* most texts need no change */
        if (bide_visible_character(json->bytes + i, json->size - i, &length) == 0)
            break;
    if (i >= json->size)
        return;
    size_t kept = i;
    bide_buffer_init(&shown);
    for (; i < json->size; i += length) {
        const char *at = json->bytes + i;
        if (bide_visible_character(at, json->size - i, &length) > 0 || *at == '\n')
            bide_buffer_add(&shown, at, length);
        else if (*at == '\t' || *at == '\r') /* between tokens: in strings they are escaped already */
            bide_buffer_char(&shown, ' ');
        else
            bide_visible_escape(&shown, at, json->size - i);
    }
    json->size = kept;
    bide_buffer_add(json, shown.bytes, shown.size);
    json->failed = json->failed || shown.failed;
    bide_buffer_release(&shown);
}
