#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/visible.h"

static void json_escape(struct bide_buffer *to, unsigned char c)
{
    static const char shorthand[] = "\b"
                                    "b"
                                    "\f"
                                    "f"
                                    "\n"
                                    "n"
                                    "\r"
                                    "r"
                                    "\t"
                                    "t"
                                    "\"\""
                                    "\\\\";
    for (size_t i = 0; i + 1 < sizeof shorthand; i += 2)
        if ((unsigned char)shorthand[i] == c) {
            bide_buffer_add(to, (char[]){'\\', shorthand[i + 1]}, 2);
            return;
        }
    bide_buffer_format(to, "\\u%04x", c);
}

/* How many bytes of `text` a JSON string holds unchanged. */
static size_t plain_run(const char *text, size_t size)
{
    size_t i = 0, length;
    while (i < size && text[i] != '"' && text[i] != '\\' &&
           bide_visible_character(text + i, size - i, &length) > 0)
        i += length;
    return i;
}

void bide_json_quote(struct bide_buffer *to, const char *text, size_t size)
{
    if (!text) {
        bide_buffer_text(to, "null");
        return;
    }
    bide_buffer_char(to, '"');
    for (size_t i = 0, length; i < size; i += length) {
        size_t plain = plain_run(text + i, size - i);
        bide_buffer_add(to, text + i, plain);
        i += plain;
        if (i == size)
            break;
        bide_visible_character(text + i, size - i, &length);
        if (length == 1 && (unsigned char)text[i] < 0x80)
            json_escape(to, (unsigned char)text[i]);
        else
            bide_visible_escape(to, text + i, length);
    }
    bide_buffer_char(to, '"');
}

void bide_json_digits(struct bide_buffer *to, double number)
{
    char text[32];
    if (!isfinite(number)) {
        bide_buffer_text(to, "null"); /* JSON has no infinities and no NaN */
        return;
    }
    snprintf(text, sizeof text, "%.6g", number);
    for (char *at = text; *at; at++) /* the locale may have another decimal point */
        if (!strchr("0123456789+-e", *at))
            *at = '.';
    bide_buffer_text(to, text);
}

void bide_json_name(struct bide_buffer *to, const char *name)
{
    char last = to->size ? to->bytes[to->size - 1] : '{';
    if (last != '{' && last != '[')
        bide_buffer_char(to, ',');
    if (!name)
        return;
    bide_json_quote(to, name, strlen(name));
    bide_buffer_char(to, ':');
}

void bide_json_text(struct bide_buffer *to, const char *name, const char *text)
{
    bide_json_name(to, name);
    bide_json_quote(to, text, text ? strlen(text) : 0);
}

void bide_json_int(struct bide_buffer *to, const char *name, int64_t value)
{
    bide_json_name(to, name);
    bide_buffer_format(to, "%" PRId64, value);
}

void bide_json_count(struct bide_buffer *to, const char *name, int64_t value)
{
    if (value < 0)
        bide_json_text(to, name, NULL);
    else
        bide_json_int(to, name, value);
}

void bide_json_bool(struct bide_buffer *to, const char *name, bool value)
{
    bide_json_name(to, name);
    bide_buffer_text(to, value ? "true" : "false");
}

void bide_json_number(struct bide_buffer *to, const char *name, double value)
{
    bide_json_name(to, name);
    bide_json_digits(to, value);
}

void bide_json_open(struct bide_buffer *to, const char *name, char bracket)
{
    bide_json_name(to, name);
    bide_buffer_char(to, bracket);
}
