#include "broker/redis/args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void bide_redis_args_init(struct bide_redis_args *args)
{
    *args = (struct bide_redis_args){.n = 0};
    bide_buffer_init(&args->bytes);
}

void bide_redis_args_release(struct bide_redis_args *args)
{
    bide_buffer_release(&args->bytes);
    args->n = 0;
}

void bide_redis_args_begin_kind(struct bide_redis_args *args, enum bide_redis_kind kind)
{
    bide_buffer_clear(&args->bytes);
    args->n = 0;
    args->kind = kind;
    args->begun = true;
}

/* "$<size>\r\n", without the cost of printf: there are hundreds of these a call. */
static void add_size(struct bide_buffer *to, size_t size)
{
    char text[32];
    size_t at = sizeof text;
    text[--at] = '\n';
    text[--at] = '\r';
    do
        text[--at] = (char)('0' + size % 10);
    while ((size /= 10) > 0);
    text[--at] = '$';
    bide_buffer_add(to, text + at, sizeof text - at);
}

void bide_redis_args_add(struct bide_redis_args *args, const void *bytes, size_t size)
{
    add_size(&args->bytes, size);
    bide_buffer_add(&args->bytes, bytes, size);
    bide_buffer_add(&args->bytes, "\r\n", 2);
    args->n++;
}

void bide_redis_args_begin(struct bide_redis_args *args, enum bide_redis_command_name command)
{
    bide_redis_args_begin_kind(args, bide_redis_command_kind(command));
    for (const char *word = bide_redis_command_words(command); *word;) {
        size_t size = strcspn(word, " ");
        bide_redis_args_add(args, word, size);
        word += size + (word[size] == ' ');
    }
}

void bide_redis_args_text(struct bide_redis_args *args, const char *text)
{
    bide_redis_args_add(args, text, strlen(text));
}

void bide_redis_args_int(struct bide_redis_args *args, int64_t value)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%lld", (long long)value);
    bide_redis_args_add(args, text, (size_t)size);
}

void bide_redis_args_format(struct bide_redis_args *args, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (size < 0 || (size_t)size >= sizeof text)
        args->bytes.failed = true;
    else
        bide_redis_args_add(args, text, (size_t)size);
}

void bide_redis_args_texts(struct bide_redis_args *args, const char *const texts[])
{
    for (size_t i = 0; texts[i]; i++)
        bide_redis_args_text(args, texts[i]);
}
