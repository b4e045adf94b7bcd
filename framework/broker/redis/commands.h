/* broker/redis/commands.h: every command and script that the adapter sends, and what is done about each
 * answer that is an error.
 *
 * A command is begun with a row of the table below (bide_redis_args_begin), a script with one of
 * scripts/scripts.h: there is no other way to send anything, so that the tables are complete by construction.
 * Each row has a kind; what an error answer means (trouble.c) and the kind of the command decide what is done
 * (commands.c). docs/redis.md says the same for people. Any thread. */
#ifndef BIDE_REDIS_COMMANDS_H
#define BIDE_REDIS_COMMANDS_H

/* What an error answer means. */
enum bide_redis_trouble {
    BIDE_REDIS_AGAIN,   /* the state that the server or the connection is in: another connection may do */
    BIDE_REDIS_FULL,    /* no room for what was to be stored, or no safe place */
    BIDE_REDIS_DENIED,  /* who we are, what we may do, whom we ask: somebody has to mend it */
    BIDE_REDIS_UNKNOWN, /* anything else: perhaps only what this command is about */
    BIDE_REDIS_N_TROUBLES
};

enum bide_redis_action {
    BIDE_REDIS_RECONNECT, /* connect again, with growing pauses, and do it again */
    BIDE_REDIS_LATER,     /* the same connection, after a pause */
    BIDE_REDIS_APART, /* only what the command is about suffers: a queue rests, a message is settled alone */
    BIDE_REDIS_FAIL   /* the call fails; a worker that starts ends, one that serves connects again */
};

enum bide_redis_kind {
    BIDE_REDIS_KIND_CONNECT, /* everyone, before anything else */
    BIDE_REDIS_KIND_JOIN,    /* a worker's beginning */
    BIDE_REDIS_KIND_QUEUE,   /* a worker, about one queue */
    BIDE_REDIS_KIND_SETTLE,  /* a worker, about messages in its hands */
    BIDE_REDIS_KIND_KEEP,    /* what keeps a worker alive */
    BIDE_REDIS_KIND_HEIR,    /* what a dead worker left, queue by queue */
    BIDE_REDIS_KIND_SEND,
    BIDE_REDIS_KIND_WAIT, /* behind what was stored already */
    BIDE_REDIS_KIND_ADMIN,
    BIDE_REDIS_KIND_STORE, /* letters of a store: harmless twice */
    BIDE_REDIS_N_KINDS
};

/* Constant, words, kind. */
#define BIDE_REDIS_COMMANDS(ROW)                                                                             \
    ROW(BIDE_REDIS_AUTH, "AUTH", CONNECT)                                                                    \
    ROW(BIDE_REDIS_SELECT, "SELECT", CONNECT)                                                                \
    ROW(BIDE_REDIS_CLIENT_SETNAME, "CLIENT SETNAME", CONNECT)                                                \
    ROW(BIDE_REDIS_ROLE, "ROLE", CONNECT)                                                                    \
    ROW(BIDE_REDIS_SCRIPT_LOAD, "SCRIPT LOAD", CONNECT)                                                      \
    ROW(BIDE_REDIS_SUBSCRIBE, "SUBSCRIBE", JOIN)                                                             \
    ROW(BIDE_REDIS_XREADGROUP, "XREADGROUP", QUEUE)                                                          \
    ROW(BIDE_REDIS_WAIT, "WAIT", WAIT)                                                                       \
    ROW(BIDE_REDIS_SMEMBERS, "SMEMBERS", ADMIN)                                                              \
    ROW(BIDE_REDIS_SISMEMBER, "SISMEMBER", ADMIN)                                                            \
    ROW(BIDE_REDIS_HKEYS, "HKEYS", ADMIN)                                                                    \
    ROW(BIDE_REDIS_SREM, "SREM", KEEP)                                                                       \
    ROW(BIDE_REDIS_PING, "PING", ADMIN)                                                                      \
    ROW(BIDE_REDIS_HMGET, "HMGET", ADMIN)                                                                    \
    ROW(BIDE_REDIS_HGET, "HGET", ADMIN)                                                                      \
    ROW(BIDE_REDIS_HLEN, "HLEN", ADMIN)                                                                      \
    ROW(BIDE_REDIS_GET, "GET", ADMIN)                                                                        \
    ROW(BIDE_REDIS_SET, "SET", ADMIN)                                                                        \
    ROW(BIDE_REDIS_SCARD, "SCARD", ADMIN)                                                                    \
    ROW(BIDE_REDIS_XLEN, "XLEN", ADMIN)                                                                      \
    ROW(BIDE_REDIS_ZCARD, "ZCARD", ADMIN)                                                                    \
    ROW(BIDE_REDIS_ZCOUNT, "ZCOUNT", ADMIN)                                                                  \
    ROW(BIDE_REDIS_ZRANGE, "ZRANGE", ADMIN)                                                                  \
    ROW(BIDE_REDIS_ZREVRANGEBYSCORE, "ZREVRANGEBYSCORE", ADMIN)                                              \
    ROW(BIDE_REDIS_XINFO_CONSUMERS, "XINFO CONSUMERS", ADMIN)                                                \
    ROW(BIDE_REDIS_DEL, "DEL", ADMIN)                                                                        \
    ROW(BIDE_REDIS_INFO, "INFO", ADMIN)                                                                      \
    ROW(BIDE_REDIS_TIME, "TIME", ADMIN)                                                                      \
    ROW(BIDE_REDIS_CONFIG_GET, "CONFIG GET", ADMIN)

enum bide_redis_command_name {
#define BIDE_REDIS_COMMAND_ENUM(name, words, kind) name,
    BIDE_REDIS_COMMANDS(BIDE_REDIS_COMMAND_ENUM)
#undef BIDE_REDIS_COMMAND_ENUM
        BIDE_REDIS_N_COMMANDS
};

/* The command's words, and its kind. */
const char *bide_redis_command_words(enum bide_redis_command_name command);
enum bide_redis_kind bide_redis_command_kind(enum bide_redis_command_name command);
/* What is done about an error answer; its text may be one that a script passed on. */
enum bide_redis_trouble bide_redis_trouble_of(const char *text);
enum bide_redis_action bide_redis_action_on(enum bide_redis_trouble trouble, enum bide_redis_kind kind);

#endif
