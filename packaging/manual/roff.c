#include <string.h>

#include "manual.h"

enum { FILL_COLUMN = 66 };

/* Bytes of the character at `text`, and its number. Our tables are valid UTF-8. */
static size_t decode(const unsigned char *text, unsigned *ret_number)
{
    size_t size = *text < 0x80 ? 1 : *text < 0xE0 ? 2 : *text < 0xF0 ? 3 : 4;
    unsigned number = size == 1 ? *text : *text & (0xFFU >> (size + 1));
    for (size_t i = 1; i < size; i++)
        number = number << 6 | (text[i] & 0x3F);
    *ret_number = number;
    return size;
}

static void add_character(struct bide_buffer *to, unsigned number)
{
    if (number == '\\')
        bide_buffer_text(to, "\\e");
    else if (number == '-')
        bide_buffer_text(to, "\\-");
    else if (number == '\'')
        bide_buffer_text(to, "\\(aq");
    else if (number >= 0x80)
        bide_buffer_format(to, "\\[u%04X]", number);
    else
        bide_buffer_char(to, (char)number);
}

/* Whether the blank before `next` should become the end of a line: mandoc minds lines beyond 80. */
static bool should_break(const struct bide_buffer *to, const char *next)
{
    size_t start = to->size, word = strcspn(next, " \n");
    while (start > 0 && to->bytes[start - 1] != '\n')
        start--;
    return word > 0 && *next != '.' && to->size - start + word > FILL_COLUMN;
}

static void add_line(struct bide_buffer *to, const char *text, size_t size, bool fill)
{
    bool bold = false;
    unsigned number;
    if (size > 0 && *text == '.')
        bide_buffer_text(to, "\\&");
    for (size_t i = 0; i < size; i += decode((const unsigned char *)text + i, &number)) {
        decode((const unsigned char *)text + i, &number);
        if (number != '`') {
            add_character(to, number == ' ' && fill && should_break(to, text + i + 1) ? '\n' : number);
            continue;
        }
        bold = !bold;
        bide_buffer_text(to, bold ? "\\fB" : "\\fP");
    }
}

void manual_text(struct bide_buffer *to, const char *text)
{
    add_line(to, text, strlen(text), true);
}

void manual_line(struct bide_buffer *to, const char *text)
{
    add_line(to, text, strlen(text), false);
}

void manual_paragraphs(struct bide_buffer *to, const char *text)
{
    for (bool first = true, as_is = false; *text; first = false) {
        size_t size = strcspn(text, "\n");
        if ((*text == ' ') != as_is) {
            as_is = !as_is;
            bide_buffer_text(to, !as_is ? ".fi\n" : first ? ".nf\n" : ".PP\n.nf\n");
            first = true;
        }
        if (size == 0 && !first)
            bide_buffer_text(to, ".PP\n");
        if (size > 0) {
            add_line(to, text, size, !as_is);
            bide_buffer_char(to, '\n');
        }
        text += size + (text[size] == '\n');
        if (!*text && as_is)
            bide_buffer_text(to, ".fi\n");
    }
}

void manual_head(struct bide_buffer *to, const char *name, const char *section, const char *summary)
{
    bide_buffer_format(to, ".\\\" Generated from the tables of options.\n.TH ");
    for (const char *c = name; *c; c++)
        bide_buffer_char(to, *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
    bide_buffer_format(to, " %s %s \"bide %s\" \"bide manual\"\n.SH NAME\n%s \\- ", section, BIDE_MANUAL_DATE,
        BIDE_VERSION, name);
    size_t size = strlen(summary);
    add_line(to, summary, size - (size > 0 && summary[size - 1] == '.'), true);
    bide_buffer_text(to, "\n");
}
