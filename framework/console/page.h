/* console/page.h: the dashboard: one page that loads nothing from elsewhere. cmake/EmbedPage.cmake makes it
 * from console/page/. It contains no data and no secret, so anyone may get it; the data it shows come from
 * the API. */
#ifndef BIDE_CONSOLE_PAGE_H
#define BIDE_CONSOLE_PAGE_H

#include <stddef.h>

extern const unsigned char bide_console_page[]; /* HTML, UTF-8, not terminated */
extern const size_t bide_console_page_size;

/* Value of Content-Security-Policy: allows the page's own script and style, by their hashes, and nothing
 * else. */
extern const char bide_console_page_policy[];

#endif
