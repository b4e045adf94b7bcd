#include "base/json.h"

#include <inttypes.h>
#include <string.h>

void bide_json_name(struct bide_buffer *to, const char *name)
{
    char last = to->size ? to->bytes[to->size - 1] : '{';
    if (last != '{' && last != '[')
        bide_buffer_char(to, ',');
    if (!name)
        return;
    bide_buffer_json(to, name, strlen(name));
    bide_buffer_char(to, ':');
}

void bide_json_text(struct bide_buffer *to, const char *name, const char *text)
{
    bide_json_name(to, name);
    bide_buffer_json(to, text, text ? strlen(text) : 0);
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
    bide_buffer_json_number(to, value);
}

void bide_json_open(struct bide_buffer *to, const char *name, char bracket)
{
    bide_json_name(to, name);
    bide_buffer_char(to, bracket);
}
