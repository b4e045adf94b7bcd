/* tests/fuzz/redis_replies.h: an input read as a Redis server's answers, as hiredis makes them. */
#ifndef BIDE_TESTS_REDIS_REPLIES_H
#define BIDE_TESTS_REDIS_REPLIES_H

#include "fuzz/fuzz.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>

/* hiredis makes room for as many elements as are announced. */
static inline bool announces_many(const char *text)
{
    for (const char *at = text; (at = strchr(at, '*')); at++)
        if (strspn(at + 1, "+0123456789") > 4)
            return true;
    return false;
}

static inline bool is_wanted(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size);
    for (size_t i = 0; i < size; i++)
        text[i] = text[i] ? text[i] : ' ';
    bool wanted = !announces_many(text);
    free(text);
    return wanted;
}

static inline void each_reply(const uint8_t *bytes, size_t size, void (*read_reply)(redisReply *reply))
{
    if (!is_wanted(bytes, size))
        return;
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    HOLDS(reader);
    if (redisReaderFeed(reader, (const char *)bytes, size) == REDIS_OK)
        while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
            read_reply(reply);
            freeReplyObject(reply);
        }
    redisReaderFree(reader);
}

#endif
