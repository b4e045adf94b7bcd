/* console/page.h: the dashboard: one page without any request to elsewhere, put together by
 * cmake/EmbedPage.cmake from console/page/. It holds no data and no secret, so it may be served to whoever
 * asks; what it shows it fetches from the API. */
#ifndef BIDE_CONSOLE_PAGE_H
#define BIDE_CONSOLE_PAGE_H

#include <stddef.h>

extern const unsigned char bide_console_page[]; /* HTML, UTF-8, not terminated */
extern const size_t bide_console_page_size;

/* Value of Content-Security-Policy: the page's own script and style by their hashes, and nothing else. */
extern const char bide_console_page_policy[];

#endif
