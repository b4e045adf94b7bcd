/* cli/top/page.h: lines of text that fit a window. Widths are characters; control characters become '?'.
 * Thread-safety: one thread at a time. */
#ifndef BIDE_CLI_TOP_PAGE_H
#define BIDE_CLI_TOP_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

struct bide_page {
    struct bide_buffer *to; /* lines, each with its newline */
    size_t columns, rows;   /* of the window; what goes beyond is left out */
    bool colour;            /* are styles used? */
    size_t used_columns, used_rows;
};

#define BIDE_PAGE_ENDLESS ((size_t)1 << 20) /* as columns or rows */

/* SGR sequences. */
#define BIDE_BOLD "\033[1m"
#define BIDE_RED "\033[31m"
#define BIDE_YELLOW "\033[33m"

size_t bide_page_width(const char *text);
/* Adds the text, cut to `columns` (its last one then an ellipsis); returns how many it took. */
size_t bide_page_fit(struct bide_buffer *to, const char *text, size_t columns);

void bide_page_add(struct bide_page *page, const char *style, const char *text); /* style NULL: none */
void bide_page_end_line(struct bide_page *page);

#endif
