#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

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

char *bide_buffer_take(struct bide_buffer *buffer)
{
    char *bytes = buffer->failed ? NULL : buffer->capacity ? buffer->bytes : bide_strdup("");
    if (buffer->failed && buffer->capacity)
        bide_free(buffer->bytes);
    bide_buffer_init(buffer);
    return bytes;
}
