#include "broker/redis/entry.h"

#include <stdlib.h>
#include <string.h>

enum { A_DAY_MS = 86400000 }; /* of clocks that are apart */

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}

static size_t read_fields(struct bide_redis_wire *wire, const redisReply *fields, bool *ret_ours)
{
    size_t size = 0;
    for (size_t i = 0; i + 1 < fields->elements && !*ret_ours; i += 2) {
        redisReply *name = fields->element[i], *value = fields->element[i + 1];
        if (!is_text(name) || !is_text(value))
            continue;
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

/* Stream ids begin with the ms at which they were made: when a foreign producer's message was sent. One that
 * it chose itself may be any number. */
static int64_t made_ms(const char *id)
{
    int64_t ms = strtoll(id, NULL, 10);
    return ms >= 0 && ms <= BIDE_REDIS_LATEST_MS ? ms : 0;
}

bool bide_redis_entry_read(struct bide_redis_wire *wire, const redisReply *entry, size_t *ret_size)
{
    bool is_ours = false;
    size_t size = 0;
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements < 2 || !is_text(entry->element[0]))
        return false;
    bide_redis_wire_init(wire);
    if (entry->element[1]->type == REDIS_REPLY_ARRAY) {
        size = read_fields(wire, entry->element[1], &is_ours);
        if (!is_ours && wire->parts.sent_ms == 0)
            wire->parts.sent_ms = made_ms(entry->element[0]->str);
    }
    if (ret_size)
        *ret_size = size;
    return true;
}

static int64_t score_ms(const char *score)
{
    double ms = strtod(score, NULL);
    if (!(ms >= 0))
        return 0;
    return ms < (double)BIDE_REDIS_LATEST_MS ? (int64_t)ms : BIDE_REDIS_LATEST_MS;
}

bool bide_redis_held_read(
    struct bide_redis_wire *wire, const redisReply *token, const redisReply *due, redisReply *text)
{
    if (!is_text(token) || !is_text(due) || !is_text(text))
        return false;
    bide_redis_wire_init(wire);
    if (text->len > 0)
        bide_redis_wire_read(wire, text->str, text->len);
    else
        wire->defect = "its text is gone from Redis: somebody deleted or changed keys of bide";
    /* The set's time is the one that counts: it is what a replay or an operator may have changed. */
    wire->parts.due_ms = score_ms(due->str);
    return true;
}

void bide_redis_wire_complete(
    struct bide_redis_wire *wire, const char *queue, const char *source, int64_t now_ms)
{
    struct bide_message_parts *parts = &wire->parts;
    parts->queue = (struct bide_slice){queue, strlen(queue)};
    if (parts->id.size == 0 || !*parts->id.bytes)
        parts->id = (struct bide_slice){source, strlen(source)};
    if (parts->due_ms == 0)
        parts->due_ms = parts->sent_ms ? parts->sent_ms : now_ms;
    if (parts->due_ms <= now_ms + BIDE_DELAY_MAX_MS + A_DAY_MS)
        return;
    parts->due_ms = now_ms;
    if (!wire->defect)
        wire->defect = "due more than 3650 days from now";
}
