/* broker/redis/scripts/scripts.h: the Lua scripts, one row each. Every change of state is one of them.
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

/* Constant, name in messages, where the text stands, kind (commands.h). */
#define BIDE_REDIS_SCRIPTS(ROW)                                                                              \
    ROW(BIDE_REDIS_SEND, "send", bide_redis_lua_send, SEND)                                                  \
    ROW(BIDE_REDIS_CLAIM, "claim", bide_redis_lua_claim, QUEUE)                                              \
    ROW(BIDE_REDIS_ACK, "ack", bide_redis_lua_ack, SETTLE)                                                   \
    ROW(BIDE_REDIS_FOLLOW, "follow", bide_redis_lua_follow, SETTLE)                                          \
    ROW(BIDE_REDIS_MOVE, "move", bide_redis_lua_move, SETTLE)                                                \
    ROW(BIDE_REDIS_RELEASE, "release", bide_redis_lua_release, SETTLE)                                       \
    ROW(BIDE_REDIS_KEEP, "keep", bide_redis_lua_keep, QUEUE)                                                 \
    ROW(BIDE_REDIS_DECLARE, "declare", bide_redis_lua_declare, QUEUE)                                        \
    ROW(BIDE_REDIS_JOIN, "join", bide_redis_lua_join, JOIN)                                                  \
    ROW(BIDE_REDIS_BEAT, "beat", bide_redis_lua_beat, KEEP)                                                  \
    ROW(BIDE_REDIS_LEAVE, "leave", bide_redis_lua_leave, KEEP)                                               \
    ROW(BIDE_REDIS_TAKE_OVER, "take over", bide_redis_lua_take_over, HEIR)                                   \
    ROW(BIDE_REDIS_ORPHANS, "orphans", bide_redis_lua_orphans, HEIR)                                         \
    ROW(BIDE_REDIS_REPLAY, "replay", bide_redis_lua_replay, ADMIN)                                           \
    ROW(BIDE_REDIS_DROP, "drop", bide_redis_lua_drop, ADMIN)                                                 \
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

/* ---- pieces that several scripts begin with ---- */

/* Wakes up to n of those waiting, and answers how many; who no longer listens is dropped. */
#define BIDE_REDIS_LUA_WAKE                                                                                  \
    "local function wake(waiting, channel, queue, n)\n"                                                      \
    "  local woken = 0\n"                                                                                    \
    "  while woken < n do\n"                                                                                 \
    "    local worker = redis.call('SPOP', waiting)\n"                                                       \
    "    if not worker then return woken end\n"                                                              \
    "    if redis.call('PUBLISH', channel .. worker, queue) > 0 then woken = woken + 1 end\n"                \
    "  end\n"                                                                                                \
    "  return woken\n"                                                                                       \
    "end\n"

/* Makes the name of a stored message. The number grows, so that those due in one millisecond come out in
 * order. It goes back when the server does (restart from an older file, failover, a key deleted by hand): the
 * mark, which the client draws anew for each command (bide_redis_link_mark), keeps a name from ever standing
 * for two messages. */
#define BIDE_REDIS_LUA_TOKEN                                                                                 \
    "local function token_of(number, mark)\n"                                                                \
    "  return string.format('%016.0f.', number) .. mark\n"                                                   \
    "end\n"

/* Puts messages into `delayed` of the queue whose five keys begin at `at`: list is due, message, due, message
 * … (at most 2 × 1000). When what is earliest changes, the worker that keeps the alarm is told, or another
 * that waits: it becomes the keeper. */
#define BIDE_REDIS_LUA_HOLD                                                                                  \
    BIDE_REDIS_LUA_TOKEN                                                                                     \
    "local function hold(at, seq, mark, channel, queue, list)\n"                                             \
    "  if #list == 0 then return end\n"                                                                      \
    "  local delayed, held, waiting, alarm = KEYS[at + 1], KEYS[at + 2], KEYS[at + 3], KEYS[at + 4]\n"       \
    "  local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]\n"                                 \
    "  local earliest, earlier = tonumber(first or '1e300'), false\n"                                        \
    "  local token, times, texts = redis.call('INCRBY', seq, #list / 2) - #list / 2, {}, {}\n"               \
    "  for i = 1, #list, 2 do\n"                                                                             \
    "    token = token + 1\n"                                                                                \
    "    local name = token_of(token, mark)\n"                                                               \
    "    times[i], times[i + 1] = list[i], name\n"                                                           \
    "    texts[i], texts[i + 1] = name, list[i + 1]\n"                                                       \
    "    if tonumber(list[i]) < earliest then earlier = true end\n"                                          \
    "  end\n"                                                                                                \
    "  redis.call('HSET', held, unpack(texts))\n"                                                            \
    "  redis.call('ZADD', delayed, unpack(times))\n"                                                         \
    "  if not earlier then return end\n"                                                                     \
    "  local holder = redis.call('GET', alarm)\n"                                                            \
    "  if not holder or redis.call('SREM', waiting, holder) == 0\n"                                          \
    "      or redis.call('PUBLISH', channel .. holder, queue) == 0 then\n"                                   \
    "    wake(waiting, channel, queue, 1)\n"                                                                 \
    "  end\n"                                                                                                \
    "end\n"

/* The body of a stored message, or of the fields of an entry. */
#define BIDE_REDIS_LUA_BODY                                                                                  \
    "local function body_of(text)\n"                                                                         \
    "  if text:sub(1, 1) == '\\n' then return text:sub(2) end\n"                                             \
    "  local _, last = text:find('\\n\\n', 1, true)\n"                                                       \
    "  if last then return text:sub(last + 1) end\n"                                                         \
    "  return text\n"                                                                                        \
    "end\n"                                                                                                  \
    "local function body_of_entry(fields)\n"                                                                 \
    "  local body = ''\n"                                                                                    \
    "  for i = 1, #fields, 2 do\n"                                                                           \
    "    if fields[i] == 'm' then return body_of(fields[i + 1]) end\n"                                       \
    "    if fields[i] == 'body' then body = fields[i + 1] end\n"                                             \
    "  end\n"                                                                                                \
    "  return body\n"                                                                                        \
    "end\n"

#endif
