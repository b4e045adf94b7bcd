#include "message/jsontext.h"

#include <string.h>

#include "base/utf8.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

/* Behind the string that begins at `at`. The quote is looked for again only once it was passed: a string of
 * nothing but escapes takes no longer than another. */
static const char *skip_string(const char *at, const char *end)
{
    const char *quote = at, *escape;
    for (at++; at < end; at = escape + 2) {
        if (quote < at)
            quote = memchr(at, '"', (size_t)(end - at));
        if (!quote)
            break;
        escape = memchr(at, '\\', (size_t)(quote - at));
        if (!escape)
            return quote + 1;
    }
    return end;
}

/* Behind the value that begins at `at`: at the ',' or '}' that follows it, or at the blanks before those. */
static const char *skip_value(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        char c = *at;
        if (c == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']' || is_blank(c)))
            break;
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        at++;
        if (depth == 0 && (c == '}' || c == ']'))
            break;
    }
    return at;
}

bool bide_json_member(const char *text, size_t size, const char *name, struct bide_slice *ret_value)
{
    const char *end = text + size, *at = skip_blanks(text, end);
    size_t name_size = strlen(name);
    while (at < end && *at != '}') {
        const char *key = skip_blanks(at + 1, end); /* behind '{' or ',' */
        if (key >= end || *key != '"')
            return false;
        const char *key_end = skip_string(key, end), *value = skip_blanks(key_end, end);
        if (value < end)
            value = skip_blanks(value + 1, end); /* behind ':' */
        const char *value_end = skip_value(value, end);
        if ((size_t)(key_end - key) == name_size + 2 && memcmp(key + 1, name, name_size) == 0) {
            *ret_value = (struct bide_slice){value, (size_t)(value_end - value)};
            return true;
        }
        at = skip_blanks(value_end, end);
    }
    return false;
}

void bide_json_add_compact(struct bide_buffer *to, const char *text, size_t size)
{
    const char *end = text + size, *run = text;
    for (const char *at = text; at < end;) {
        if (*at == '"') {
            at = skip_string(at, end);
        } else if (is_blank(*at)) {
            bide_buffer_add(to, run, (size_t)(at - run));
            run = at = skip_blanks(at, end);
        } else {
            at++;
        }
    }
    bide_buffer_add(to, run, (size_t)(end - run));
}

/* Eight bytes at a time: is one of them below 0x20? (x - n sets the top bit of those below, ~x keeps it.) */
static uint64_t control_in(uint64_t eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    return (eight - ones * 0x20) & ~eight & ones * 0x80;
}

bool bide_json_plain_string(const char *text, size_t size)
{
    uint64_t control = 0, high = 0, eight, rest = UINT64_C(0x2020202020202020);
    if (size < 2 || text[0] != '"' || text[size - 1] != '"' || memchr(text + 1, '"', size - 2) ||
        memchr(text + 1, '\\', size - 2))
        return false;
    const char *at = text + 1, *end = text + size - 1;
    for (; at + sizeof eight <= end; at += sizeof eight) {
        memcpy(&eight, at, sizeof eight);
        control |= control_in(eight);
        high |= eight;
    }
    memcpy(&rest, at, (size_t)(end - at));
    if (control | control_in(rest))
        return false;
    return !((high | rest) & UINT64_C(0x8080808080808080)) || bide_utf8_valid(text + 1, size - 2);
}
