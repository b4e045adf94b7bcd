#include "base/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static bide_alloc_hook *alloc_hook;
static void *alloc_hook_user;

static int allowed(size_t size)
{
    return !alloc_hook || alloc_hook(alloc_hook_user, size);
}

void *bide_malloc(size_t size)
{
    return allowed(size) ? malloc(size) : NULL;
}

void *bide_calloc(size_t n, size_t size)
{
    size_t whole; /* for the hook only: calloc itself detects an overflow */
    if (__builtin_mul_overflow(n, size, &whole))
        whole = SIZE_MAX;
    return allowed(whole) ? calloc(n, size) : NULL;
}

void *bide_realloc(void *memory, size_t size)
{
    return allowed(size) ? realloc(memory, size) : NULL;
}

char *bide_strndup(const char *text, size_t max)
{
    size_t length = strnlen(text, max);
    char *copy = bide_malloc(length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *bide_strdup(const char *text)
{
    return bide_strndup(text, strlen(text));
}

void bide_free(void *memory)
{
    free(memory);
}

char *bide_vasprintf(const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : bide_malloc((size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *bide_asprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = bide_vasprintf(format, args);
    va_end(args);
    return text;
}

void bide_alloc_set_hook(bide_alloc_hook *hook, void *user)
{
    alloc_hook = hook;
    alloc_hook_user = user;
    json_set_alloc_funcs(hook ? bide_malloc : malloc, hook ? bide_free : free);
}
