#include "broker/redis/commands.h"

static const struct {
    const char *words;
    enum bide_redis_kind kind;
} commands[] = {
#define COMMAND_ROW(name, words, kind) [name] = {words, BIDE_REDIS_KIND_##kind},
    BIDE_REDIS_COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
};

const char *bide_redis_command_words(enum bide_redis_command_name command)
{
    return commands[command].words;
}

enum bide_redis_kind bide_redis_command_kind(enum bide_redis_command_name command)
{
    return commands[command].kind;
}

enum {
    RECONNECT = BIDE_REDIS_RECONNECT,
    LATER = BIDE_REDIS_LATER,
    APART = BIDE_REDIS_APART,
    FAIL = BIDE_REDIS_FAIL
};

/* By kind: an AGAIN, FULL, DENIED, UNKNOWN answer. A worker that serves never ends because of an answer; one
 * that starts ends with any failure, and its exit status says whether waiting helps. What was stored before a
 * WAIT is not sent again unless the connection is to be made anew: that would double it. */
static const unsigned char actions[BIDE_REDIS_N_KINDS][BIDE_REDIS_N_TROUBLES] = {
    [BIDE_REDIS_KIND_CONNECT] = {RECONNECT, RECONNECT, FAIL, RECONNECT},
    [BIDE_REDIS_KIND_JOIN] = {RECONNECT, RECONNECT, FAIL, RECONNECT},
    [BIDE_REDIS_KIND_QUEUE] = {RECONNECT, RECONNECT, RECONNECT, APART},
    [BIDE_REDIS_KIND_SETTLE] = {RECONNECT, RECONNECT, RECONNECT, APART},
    [BIDE_REDIS_KIND_KEEP] = {RECONNECT, RECONNECT, RECONNECT, RECONNECT},
    [BIDE_REDIS_KIND_HEIR] = {RECONNECT, APART, APART, APART},
    [BIDE_REDIS_KIND_SEND] = {RECONNECT, LATER, FAIL, FAIL},
    [BIDE_REDIS_KIND_WAIT] = {RECONNECT, FAIL, FAIL, FAIL},
    [BIDE_REDIS_KIND_ADMIN] = {RECONNECT, FAIL, FAIL, FAIL},
    [BIDE_REDIS_KIND_STORE] = {RECONNECT, FAIL, FAIL, FAIL},
};

enum bide_redis_action bide_redis_action_on(enum bide_redis_trouble trouble, enum bide_redis_kind kind)
{
    return actions[kind][trouble];
}
