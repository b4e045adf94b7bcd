#include "broker/redis/entry.h"

#include <stdlib.h>
#include <string.h>

static size_t read_fields(struct bide_redis_wire *wire, const redisReply *fields, bool *ret_ours)
{
    size_t size = 0;
    for (size_t i = 0; i + 1 < fields->elements && !*ret_ours; i += 2) {
        redisReply *name = fields->element[i], *value = fields->element[i + 1];
        size += value->len;
        *ret_ours = strcmp(name->str, "m") == 0;
        if (*ret_ours) {
            bide_redis_wire_init(wire);
            bide_redis_wire_read(wire, value->str, value->len);
        } else {
            bide_redis_wire_field(wire, name->str, value->str, value->len);
        }
    }
    return size;
}

/* Stream ids begin with the ms at which they were made: when a foreign producer's message was sent. */
bool bide_redis_entry_read(struct bide_redis_wire *wire, const redisReply *entry, size_t *ret_size)
{
    bool is_ours = false;
    size_t size = 0;
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements < 2)
        return false;
    bide_redis_wire_init(wire);
    if (entry->element[1]->type == REDIS_REPLY_ARRAY) {
        size = read_fields(wire, entry->element[1], &is_ours);
        if (!is_ours && wire->parts.sent_ms == 0)
            wire->parts.sent_ms = strtoll(entry->element[0]->str, NULL, 10);
    }
    if (ret_size)
        *ret_size = size;
    return true;
}

void bide_redis_held_read(struct bide_redis_wire *wire, const redisReply *due, redisReply *text)
{
    bide_redis_wire_init(wire);
    bide_redis_wire_read(wire, text->str, text->len);
    /* The set's time is the one that counts: it is what a replay or an operator may have changed. */
    wire->parts.due_ms = (int64_t)strtod(due->str, NULL);
}

void bide_redis_wire_complete(
    struct bide_redis_wire *wire, const char *queue, const char *source, int64_t now_ms)
{
    struct bide_message_parts *parts = &wire->parts;
    parts->queue = (struct bide_slice){queue, strlen(queue)};
    if (parts->id.size == 0)
        parts->id = (struct bide_slice){source, strlen(source)};
    if (parts->due_ms == 0)
        parts->due_ms = parts->sent_ms ? parts->sent_ms : now_ms;
}
