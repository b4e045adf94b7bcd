#include <stdlib.h>
#include <string.h>

#include "command.h"

bool tail_init(struct tail *tail, size_t limit)
{
    *tail = (struct tail){.bytes = malloc(2 * limit + 1), .limit = limit};
    return tail->bytes;
}

static void keep_last(struct tail *tail, size_t keep)
{
    if (tail->size <= keep)
        return;
    memmove(tail->bytes, tail->bytes + tail->size - keep, keep);
    tail->size = keep;
}

void tail_add(struct tail *tail, const char *bytes, size_t size)
{
    if (size > tail->limit) {
        bytes += size - tail->limit;
        size = tail->limit;
    }
    if (tail->size + size > 2 * tail->limit)
        keep_last(tail, tail->limit);
    memcpy(tail->bytes + tail->size, bytes, size);
    tail->size += size;
}

static bool blank(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7F;
}

const char *tail_text(struct tail *tail)
{
    keep_last(tail, tail->limit);
    while (tail->size && blank(tail->bytes[tail->size - 1]))
        tail->size--;
    tail->bytes[tail->size] = '\0';
    char *text = tail->bytes;
    while (*text && blank(*text))
        text++;
    for (char *at = text; at < tail->bytes + tail->size; at++)
        if (blank(*at) && *at != '\n' && *at != '\t')
            *at = ' ';
    return text;
}
