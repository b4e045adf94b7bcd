/* A Redis server's answers to letters: whatever shape they have, they become answers, or a failure. */
#include "fuzz/redis_replies.h"

#include "store/redis/inside.h"

enum { LETTERS = 2, OPERATIONS = 7 };

static void read_reply(redisReply *reply)
{
    struct bide_store_operation operations[LETTERS][OPERATIONS] = {{{.kind = BIDE_STORE_TURN}}};
    struct bide_store_letter letters[LETTERS] = {
        {.operations = operations[0], .n = OPERATIONS}, {.operations = operations[1], .n = 1}};
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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    each_reply(bytes, size, read_reply);
    return 0;
}
