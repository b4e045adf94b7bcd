/* Redis' answers: whatever shape a reply to claiming has, its entries become messages, or are passed over. */
#include "fuzz/redis_replies.h"

#include <stdbool.h>

#include "broker/redis/entry.h"

static void make_message(struct bide_redis_wire *wire, const char *source)
{
    bide_redis_wire_complete(wire, "default", source, INT64_C(1790000000000));
    struct bide_message *message = bide_message_from_parts(&wire->parts);
    HOLDS(message && message->due_ms >= 0);
    bide_message_destroy(message);
}

static void read_entries(const redisReply *entries)
{
    struct bide_redis_wire wire;
    size_t size;
    for (size_t i = 0; i < entries->elements; i++)
        if (bide_redis_entry_read(&wire, entries->element[i], &size))
            make_message(&wire, entries->element[i]->element[0]->str);
}

static void read_tokens(const redisReply *tokens)
{
    struct bide_redis_wire wire;
    for (size_t i = 0; i + 2 < tokens->elements; i += 3)
        if (bide_redis_held_read(&wire, tokens->element[i], tokens->element[i + 1], tokens->element[i + 2]))
            make_message(&wire, tokens->element[i]->str);
}

static void read_reply(redisReply *reply)
{
    bool is_array = reply->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; is_array && i < reply->elements; i++) {
        redisReply *part = reply->element[i];
        if (part->type != REDIS_REPLY_ARRAY)
            continue;
        if (part->elements && part->element[0]->type == REDIS_REPLY_ARRAY)
            read_entries(part);
        else
            read_tokens(part);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    each_reply(bytes, size, read_reply);
    return 0;
}
