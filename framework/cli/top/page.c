#include "cli/top/top.h"

#include <string.h>

#include "base/visible.h"

#define PLAIN "\033[0m"

static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xC0) != 0x80;
}

size_t bide_page_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += begins_character(*text);
    return width;
}

/* Bytes of the first `columns` characters. */
static size_t prefix(const char *text, size_t columns)
{
    size_t size = 0;
    for (; text[size]; size++)
        if (begins_character(text[size]) && columns-- == 0)
            break;
    return size;
}

size_t bide_page_fit(struct bide_buffer *to, const char *text, size_t columns)
{
    size_t width = bide_page_width(text);
    if (width <= columns) {
        bide_buffer_text(to, text);
        return width;
    }
    if (columns > 0) {
        bide_buffer_add(to, text, prefix(text, columns - 1));
        bide_buffer_text(to, "…");
    }
    return columns;
}

void bide_page_add(struct bide_page *page, const char *style, const char *text)
{
    struct bide_buffer clean;
    bool styled = style && page->colour && *text;
    if (page->used_rows == page->rows)
        return;
    bide_buffer_init(&clean);
    bide_visible_add(&clean, text, strlen(text), false);
    bide_buffer_text(page->to, styled ? style : "");
    page->used_columns += bide_page_fit(page->to, clean.bytes, page->columns - page->used_columns);
    bide_buffer_text(page->to, styled ? PLAIN : "");
    bide_buffer_release(&clean);
}

void bide_page_end_line(struct bide_page *page)
{
    if (page->used_rows == page->rows)
        return;
    bide_buffer_char(page->to, '\n');
    page->used_rows++;
    page->used_columns = 0;
}
