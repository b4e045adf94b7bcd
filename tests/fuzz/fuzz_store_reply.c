/* A Redis server's answers to letters: whatever shape they have, they become answers, or a failure. */
#include "fuzz/fuzz.h"

#include "store/redis/inside.h"

enum { LETTERS = 2, OPERATIONS = 7 };

static void read_reply(const redisReply *reply)
{
    struct bide_store_operation operations[LETTERS][OPERATIONS] = {{{.kind = BIDE_STORE_TURN}}};
    struct bide_store_letter letters[LETTERS] = {
        {operations[0], OPERATIONS, BIDE_OK}, {operations[1], 1, BIDE_OK}};
    bide_error error;
    for (int kind = BIDE_STORE_TURN; kind <= BIDE_STORE_CLOSE; kind++)
        operations[0][kind].kind = (enum bide_store_kind)kind;
    bide_code code = bide_store_redis_read(letters, LETTERS, reply, "server", &error);
    HOLDS(code == BIDE_OK || code == BIDE_E_BROKER);
    for (int i = 0; i < LETTERS; i++)
        for (size_t j = 0; j < letters[i].n; j++) {
            const struct bide_store_answer *answer = &operations[i][j].answer;
            HOLDS(answer->state < BIDE_STORE_STATES && (answer->data != NULL) == (answer->size > 0));
        }
    bide_store_letter_clear(&letters[0]);
    bide_store_letter_clear(&letters[1]);
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
