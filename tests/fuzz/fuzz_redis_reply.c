/* Redis' answers: whatever shape a reply to claiming has, its entries become messages, or are passed over. */
#include "fuzz/fuzz.h"

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

/* hiredis makes room for as many elements as are announced. */
static bool announces_many(const char *text)
{
    for (const char *at = text; (at = strchr(at, '*')); at++)
        if (strspn(at + 1, "+0123456789") > 4)
            return true;
    return false;
}

static bool is_wanted(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size);
    for (size_t i = 0; i < size; i++)
        text[i] = text[i] ? text[i] : ' ';
    bool wanted = !announces_many(text);
    free(text);
    return wanted;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (!is_wanted(bytes, size))
        return 0;
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    HOLDS(reader);
    if (redisReaderFeed(reader, (const char *)bytes, size) == REDIS_OK)
        while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
            read_reply(reply);
            freeReplyObject(reply);
        }
    redisReaderFree(reader);
    return 0;
}
