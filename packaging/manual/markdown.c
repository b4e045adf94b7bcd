/* The Markdown of handlers/README.md as a manual page: headings, code, and all else as it stands. */
#include <ctype.h>
#include <string.h>

#include "manual.h"

static void add_heading(struct bide_buffer *to, const char *line, size_t size)
{
    bool section = strncmp(line, "## ", 3) == 0;
    size_t skip = strspn(line, "# ");
    bide_buffer_text(to, section ? ".SH " : ".SS ");
    for (size_t i = skip; i < size; i++)
        bide_buffer_char(to, section ? (char)toupper((unsigned char)line[i]) : line[i]);
    bide_buffer_char(to, '\n');
}

static void add_text(struct bide_buffer *to, const char *line, size_t size, bool code)
{
    struct bide_buffer one;
    bide_buffer_init(&one);
    bide_buffer_add(&one, line, size);
    bide_buffer_char(&one, '\0');
    for (char *at = one.bytes; code && *at; at++)
        if (*at == '`')
            *at = '\''; /* which stands for bold elsewhere */
    manual_line(to, one.bytes);
    bide_buffer_char(to, '\n');
    bide_buffer_release(&one);
}

/* Lists, tables and code keep their lines; paragraphs are filled. */
static bool keeps_lines(const char *line, bool code)
{
    return code || *line == '|' || *line == '-' || *line == ' ' ||
           (isdigit((unsigned char)*line) && line[1] == '.');
}

/* Where the page is. */
struct page {
    struct bide_buffer *to;
    bool as_is;  /* lines stay as they are: between .nf and .fi */
    bool blank;  /* an empty line came before */
    bool headed; /* nothing stands below the heading yet */
};

static void set_filling(struct page *page, bool as_is)
{
    if (page->as_is && !as_is)
        bide_buffer_text(page->to, ".fi\n");
    if (page->as_is && as_is && page->blank)
        bide_buffer_text(page->to, "\\&\n");
    else if (page->blank && !page->headed)
        bide_buffer_text(page->to, ".PP\n");
    if (!page->as_is && as_is)
        bide_buffer_text(page->to, ".nf\n");
    page->as_is = as_is;
    page->blank = page->headed = false;
}

void manual_write_handlers(struct bide_buffer *to, const char *markdown)
{
    struct page page = {.to = to, .headed = true};
    bool code = false;
    manual_head(to, "bide-handlers", "7", "how to write a handler, and the handlers that come with bide");
    bide_buffer_text(to, ".SH DESCRIPTION\n");
    for (const char *line = markdown; *line;) {
        size_t size = strcspn(line, "\n");
        if (strncmp(line, "```", 3) == 0) {
            code = !code;
        } else if (size == 0) {
            page.blank = true;
        } else if (*line == '#' && !code) {
            if (line[1] == '#') {
                page.blank = false;
                set_filling(&page, false);
                add_heading(to, line, size);
            }
            page.headed = true;
        } else {
            set_filling(&page, keeps_lines(line, code));
            add_text(to, line, size, code);
        }
        line += size + (line[size] == '\n');
    }
    page.blank = false;
    set_filling(&page, false);
}
