/* broker/redis/scripts/scripts.h: the Lua scripts, one row each. Every change of state is one of them.
 *
 * A script's text is its .lua file here, behind the files of parts/ that it names. cmake/EmbedLua.cmake
 * embeds the texts; tests/check/lua compiles them and looks for names that nobody defines.
 *
 * Invariants, kept by every script:
 *
 *   - A message is in exactly one place: a stream entry, or a token in `held` that is in `delayed` or in one
 *     worker's `claimed`, or a dead letter. A script puts it into one and takes it out of the other at once,
 *     in this order: should the server refuse the first, nothing is lost.
 *   - Who is in `workers` owns what is pending for it in the streams' groups and what is in its `claimed`.
 *     It leaves `workers` once and never comes back under that name, and only then do its messages move:
 *     so a script that settles or claims only asks "is this worker in `workers`?" (-1: it is not).
 *   - Who is in a queue's `waiting` claims when woken, or passes the wake on (by claiming nothing).
 *   - Scripts that shrink or move begin with a write that needs no memory: Redis lets a script that has
 *     written go on beyond `maxmemory`, so a full server stops sending only.
 *
 * The group `bide` has one consumer a worker and one named `returned`: entries handed back keep their place
 * in the stream by being pending for `returned`. */
#ifndef BIDE_REDIS_SCRIPTS_H
#define BIDE_REDIS_SCRIPTS_H

#include <stddef.h>

#include "broker/redis/commands.h"

/* Scripts that a connection loads: the broker's, or a store's (store/redis/). */
struct bide_redis_script_row {
    const char *name, *lua;
    enum bide_redis_kind kind;
};
struct bide_redis_script_set {
    const struct bide_redis_script_row *rows;
    size_t n; /* at most BIDE_REDIS_N_SCRIPTS */
};
extern const struct bide_redis_script_set bide_redis_broker_scripts;

/* Constant, name in messages, text (bide_redis_lua_NAME is NAME.lua), kind (commands.h). */
#define BIDE_REDIS_SCRIPTS(ROW)                                                                              \
    ROW(BIDE_REDIS_SEND, "send", bide_redis_lua_send, SEND)                                                  \
    ROW(BIDE_REDIS_CLAIM, "claim", bide_redis_lua_claim, QUEUE)                                              \
    ROW(BIDE_REDIS_ACK, "ack", bide_redis_lua_ack, SETTLE)                                                   \
    ROW(BIDE_REDIS_FOLLOW, "follow", bide_redis_lua_follow, SETTLE)                                          \
    ROW(BIDE_REDIS_MOVE, "move", bide_redis_lua_move, SETTLE)                                                \
    ROW(BIDE_REDIS_RELEASE, "release", bide_redis_lua_release, SETTLE)                                       \
    ROW(BIDE_REDIS_KEEP, "keep", bide_redis_lua_keep, QUEUE)                                                 \
    ROW(BIDE_REDIS_DECLARE, "declare", bide_redis_lua_declare, QUEUE)                                        \
    ROW(BIDE_REDIS_TOPIC_LEAVE, "leave a topic", bide_redis_lua_topic_leave, ADMIN)                          \
    ROW(BIDE_REDIS_JOIN, "join", bide_redis_lua_join, JOIN)                                                  \
    ROW(BIDE_REDIS_BEAT, "beat", bide_redis_lua_beat, KEEP)                                                  \
    ROW(BIDE_REDIS_LEAVE, "leave", bide_redis_lua_leave, KEEP)                                               \
    ROW(BIDE_REDIS_TAKE_OVER, "take over", bide_redis_lua_take_over, HEIR)                                   \
    ROW(BIDE_REDIS_ORPHANS, "orphans", bide_redis_lua_orphans, HEIR)                                         \
    ROW(BIDE_REDIS_REPLAY, "replay", bide_redis_lua_replay, ADMIN)                                           \
    ROW(BIDE_REDIS_DROP, "drop", bide_redis_lua_drop, ADMIN)                                                 \
    ROW(BIDE_REDIS_TRIM, "trim", bide_redis_lua_trim, ADMIN)                                                 \
    ROW(BIDE_REDIS_OLDEST, "oldest", bide_redis_lua_oldest, ADMIN)                                           \
    ROW(BIDE_REDIS_HELD, "held", bide_redis_lua_held, ADMIN)                                                 \
    ROW(BIDE_REDIS_ENTRIES, "entries", bide_redis_lua_entries, ADMIN)                                        \
    ROW(BIDE_REDIS_CANCEL, "cancel", bide_redis_lua_cancel, ADMIN)                                           \
    ROW(BIDE_REDIS_RESCHEDULE, "reschedule", bide_redis_lua_reschedule, ADMIN)                               \
    ROW(BIDE_REDIS_EXPORT, "export", bide_redis_lua_export, ADMIN)                                           \
    ROW(BIDE_REDIS_BURY, "bury", bide_redis_lua_bury, ADMIN)
enum bide_redis_script {
#define BIDE_REDIS_SCRIPT_ENUM(name, text, lua, kind) name,
    BIDE_REDIS_SCRIPTS(BIDE_REDIS_SCRIPT_ENUM)
#undef BIDE_REDIS_SCRIPT_ENUM
        BIDE_REDIS_N_SCRIPTS
};

#define BIDE_REDIS_SCRIPT_EXTERN(name, text, lua, kind) extern const char lua[];
BIDE_REDIS_SCRIPTS(BIDE_REDIS_SCRIPT_EXTERN)
#undef BIDE_REDIS_SCRIPT_EXTERN

#endif
