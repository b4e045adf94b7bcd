#include "base/buffer.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/visible.h"

static char empty_text[1];

void bide_buffer_init(struct bide_buffer *buffer)
{
    *buffer = (struct bide_buffer){.bytes = empty_text};
}

void bide_buffer_release(struct bide_buffer *buffer)
{
    if (buffer->capacity)
        bide_free(buffer->bytes);
    bide_buffer_init(buffer);
}

void bide_buffer_clear(struct bide_buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
    if (buffer->capacity)
        buffer->bytes[0] = '\0';
}

static bool grow(struct bide_buffer *buffer, size_t wanted)
{
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity < wanted)
        capacity += capacity / 2;
    char *bytes = bide_realloc(buffer->capacity ? buffer->bytes : NULL, capacity);
    if (!bytes) {
        buffer->failed = true;
        return false;
    }
    if (!buffer->capacity)
        bytes[0] = '\0';
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

char *bide_buffer_reserve(struct bide_buffer *buffer, size_t more)
{
    if (buffer->failed)
        return NULL;
    if (more >= SIZE_MAX / 2 - buffer->size) {
        buffer->failed = true;
        return NULL;
    }
    size_t wanted = buffer->size + more + 1;
    if (wanted > buffer->capacity && !grow(buffer, wanted))
        return NULL;
    return buffer->bytes + buffer->size;
}

void bide_buffer_add(struct bide_buffer *buffer, const void *bytes, size_t size)
{
    char *to = bide_buffer_reserve(buffer, size);
    if (!to)
        return;
    if (size)
        memcpy(to, bytes, size);
    buffer->size += size;
    buffer->bytes[buffer->size] = '\0';
}

void bide_buffer_text(struct bide_buffer *buffer, const char *text)
{
    bide_buffer_add(buffer, text, strlen(text));
}

void bide_buffer_char(struct bide_buffer *buffer, char c)
{
    bide_buffer_add(buffer, &c, 1);
}

void bide_buffer_format(struct bide_buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        buffer->failed = true;
    char *to = length < 0 ? NULL : bide_buffer_reserve(buffer, (size_t)length);
    if (!to)
        return;
    va_start(args, format);
    vsnprintf(to, (size_t)length + 1, format, args);
    va_end(args);
    buffer->size += (size_t)length;
}

static void json_escape(struct bide_buffer *buffer, unsigned char c)
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
            bide_buffer_add(buffer, (char[]){'\\', shorthand[i + 1]}, 2);
            return;
        }
    bide_buffer_format(buffer, "\\u%04x", c);
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

void bide_buffer_json(struct bide_buffer *buffer, const char *text, size_t size)
{
    if (!text) {
        bide_buffer_text(buffer, "null");
        return;
    }
    bide_buffer_char(buffer, '"');
    for (size_t i = 0, length; i < size; i += length) {
        size_t plain = plain_run(text + i, size - i);
        bide_buffer_add(buffer, text + i, plain);
        i += plain;
        if (i == size)
            break;
        bide_visible_character(text + i, size - i, &length);
        if (length == 1 && (unsigned char)text[i] < 0x80)
            json_escape(buffer, (unsigned char)text[i]);
        else
            bide_visible_escape(buffer, text + i, length);
    }
    bide_buffer_char(buffer, '"');
}

void bide_buffer_json_number(struct bide_buffer *buffer, double number)
{
    char text[32];
    if (!isfinite(number)) {
        bide_buffer_text(buffer, "null"); /* JSON has no infinities and no NaN */
        return;
    }
    snprintf(text, sizeof text, "%.6g", number);
    for (char *at = text; *at; at++) /* the locale may have another decimal point */
        if (!strchr("0123456789+-e", *at))
            *at = '.';
    bide_buffer_text(buffer, text);
}

char *bide_buffer_take(struct bide_buffer *buffer)
{
    char *bytes = buffer->failed ? NULL : buffer->capacity ? buffer->bytes : bide_strdup("");
    if (buffer->failed && buffer->capacity)
        bide_free(buffer->bytes);
    bide_buffer_init(buffer);
    return bytes;
}
