#include "message/failures.h"

#include <stdbool.h>
#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "base/utf8.h"

enum { ERROR_MAX = 300 };

static bool read_one(const json_t *object, struct bide_failure *ret_failure)
{
    const char *error = json_string_value(json_object_get(object, "error"));
    json_int_t attempt = json_integer_value(json_object_get(object, "attempt"));
    if (!error || attempt < 0 || attempt > INT32_MAX)
        return false;
    *ret_failure = (struct bide_failure){.attempt = (int)attempt,
        .at_ms = json_integer_value(json_object_get(object, "at_ms")),
        .error = error};
    return true;
}

void bide_failures_read(struct bide_failures *ret_failures, const char *text)
{
    json_t *root = *text ? json_loads(text, 0, NULL) : NULL;
    size_t size = json_array_size(root), first = size > BIDE_FAILURES_MAX ? size - BIDE_FAILURES_MAX : 0;
    *ret_failures = (struct bide_failures){.root = root};
    for (size_t i = first; i < size; i++)
        ret_failures->n += read_one(json_array_get(root, i), &ret_failures->items[ret_failures->n]);
}

void bide_failures_release(struct bide_failures *failures)
{
    json_decref(failures->root);
}

static void write_one(struct bide_buffer *to, const struct bide_failure *failure)
{
    const char *error = bide_utf8_tail(failure->error, ERROR_MAX);
    bide_json_open(to, NULL, '{');
    bide_json_int(to, "attempt", failure->attempt);
    bide_json_int(to, "at_ms", failure->at_ms);
    bide_json_name(to, "error");
    bide_json_quote(to, error, strlen(error));
    bide_buffer_char(to, '}');
}

static void write_from(struct bide_buffer *to, const struct bide_failures *failures, size_t first)
{
    bide_buffer_char(to, '[');
    for (size_t i = first; i < failures->n; i++)
        write_one(to, &failures->items[i]);
    bide_buffer_char(to, ']');
}

char *bide_failures_add(const char *text, const struct bide_failure *failure)
{
    struct bide_failures failures;
    struct bide_buffer to;
    size_t first = 0;
    bide_failures_read(&failures, text);
    if (failures.n == BIDE_FAILURES_MAX)
        memmove(&failures.items[0], &failures.items[1], --failures.n * sizeof failures.items[0]);
    failures.items[failures.n++] = *failure;
    bide_buffer_init(&to);
    do {
        bide_buffer_clear(&to);
        write_from(&to, &failures, first);
    } while (to.size > BIDE_FAILURES_TEXT_MAX && ++first < failures.n);
    bide_failures_release(&failures);
    return bide_buffer_take(&to);
}

const char *bide_failure_headline(const char *error, size_t *ret_size)
{
    size_t end = strlen(error);
    while (end > 0 && (unsigned char)error[end - 1] <= ' ')
        end--;
    size_t begin = end;
    while (begin > 0 && error[begin - 1] != '\n')
        begin--;
    *ret_size = end - begin;
    return error + begin;
}

void bide_failures_write(struct bide_buffer *to, const char *text)
{
    struct bide_failures failures;
    bide_failures_read(&failures, text);
    write_from(to, &failures, 0);
    bide_failures_release(&failures);
}
