#include "broker/redis/scripts/scripts.h"

/* All: KEYS: the queue's five, workers, claimed, …; ARGV: worker, … They answer 1 (but for MOVE and KEEP), or
 * -1 when the worker's messages have been taken over: nothing was done. Doing one again (its answer was lost)
 * does nothing the second time. */

/* ARGV: worker, how many stream ids, those, tokens. A body goes only with its token: should one not have been
 * in this worker's hands, what is in `delayed` keeps its body. */
const char bide_redis_lua_ack[] =
    "if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end\n"
    "local n = tonumber(ARGV[2])\n"
    "if n > 0 then\n"
    "  redis.call('XACK', KEYS[1], 'bide', unpack(ARGV, 3, 2 + n))\n"
    "  redis.call('XDEL', KEYS[1], unpack(ARGV, 3, 2 + n))\n"
    "end\n"
    "if #ARGV == 2 + n then return 1 end\n"
    "if redis.call('ZREM', KEYS[7], unpack(ARGV, 3 + n)) == #ARGV - 2 - n then\n"
    "  redis.call('HDEL', KEYS[3], unpack(ARGV, 3 + n))\n"
    "  return 1\n"
    "end\n"
    "for i = 3 + n, #ARGV do\n"
    "  if not redis.call('ZSCORE', KEYS[2], ARGV[i]) then redis.call('HDEL', KEYS[3], ARGV[i]) end\n"
    "end\n"
    "return 1\n";

/* Is this message in the worker's hands? And: it leaves them for good. Scripts put what is new into its place
 * between the two: should the server refuse that (rights, a key of somebody else), nothing is lost. */
#define LUA_TAKE                                                                                             \
    "local function is_mine(source)\n"                                                                       \
    "  if source:find('-', 1, true) then\n"                                                                  \
    "    return #redis.call('XPENDING', KEYS[1], 'bide', source, source, 1, ARGV[1]) > 0\n"                  \
    "  end\n"                                                                                                \
    "  return redis.call('ZSCORE', KEYS[7], source)\n"                                                       \
    "end\n"                                                                                                  \
    "local function take(source)\n"                                                                          \
    "  if source:find('-', 1, true) then\n"                                                                  \
    "    redis.call('XACK', KEYS[1], 'bide', source)\n"                                                      \
    "    redis.call('XDEL', KEYS[1], source)\n"                                                              \
    "  else\n"                                                                                               \
    "    redis.call('ZREM', KEYS[7], source)\n"                                                              \
    "    redis.call('HDEL', KEYS[3], source)\n"                                                              \
    "  end\n"                                                                                                \
    "end\n"

/* Sends one message: i is where its three arguments begin (name of its queue, due or '' for now, message),
 * `at` where its queue's five keys do. */
#define LUA_SEND                                                                                             \
    "local function send(queues, channel, mark, at, i)\n"                                                    \
    "  redis.call('SADD', queues, ARGV[i])\n"                                                                \
    "  if ARGV[i + 1] == '' then\n"                                                                          \
    "    redis.call('XADD', KEYS[at], '*', 'm', ARGV[i + 2])\n"                                              \
    "    wake(KEYS[at + 3], channel, ARGV[i], 1)\n"                                                          \
    "  else\n"                                                                                               \
    "    hold(at, KEYS[8], mark, channel, ARGV[i], {ARGV[i + 1], ARGV[i + 2]})\n"                            \
    "  end\n"                                                                                                \
    "end\n"

/* Messages are done and others are sent, at once. KEYS from the 8th: seq, queues, then five for the queue of
 * each message that is sent. ARGV: worker, wake channel, mark of tokens, then for each that is done: stream
 * id or token, how many it sends, and for each of these: name of its queue, due ('' now), message. */
const char bide_redis_lua_follow[] = BIDE_REDIS_LUA_WAKE BIDE_REDIS_LUA_HOLD LUA_TAKE LUA_SEND
    "if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end\n"
    "redis.call('PERSIST', KEYS[6])\n"
    "local at, i = 10, 4\n"
    "while i < #ARGV do\n"
    "  local source, n = ARGV[i], tonumber(ARGV[i + 1])\n"
    "  local mine = is_mine(source)\n"
    "  i = i + 2\n"
    "  for _ = 1, n do\n"
    "    if mine then send(KEYS[9], ARGV[2], ARGV[3], at, i) end\n"
    "    at, i = at + 5, i + 3\n"
    "  end\n"
    "  if mine then take(source) end\n"
    "end\n"
    "return 1\n";

/* Retries and dead letters; the body stays on the server. KEYS from the 8th: seq, dead, dead:held,
 * dead:count, queues, then five for the queue of each message that is sent with a dead letter. ARGV: worker,
 * queue, wake channel, mark of tokens, now, then for each: "retry" or "dead", stream id or token, new lines,
 * due or died ms, how many it sends, and for each of these: name of its queue, due ('' now), message. A retry
 * gets a new token: a command that arrives late from a lost connection cannot touch it. One whose body is
 * gone, because somebody deleted the stream's entry or the key, becomes a dead letter without one. Answers 1
 * and how many of these there were. */
const char bide_redis_lua_move[] =
    BIDE_REDIS_LUA_WAKE BIDE_REDIS_LUA_HOLD BIDE_REDIS_LUA_BODY LUA_TAKE LUA_SEND
    "if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end\n"
    "redis.call('PERSIST', KEYS[6])\n"
    "local function body_at(source)\n" /* false: it is gone */
    "  if source:find('-', 1, true) then\n"
    "    local entry = redis.call('XRANGE', KEYS[1], source, source)[1]\n"
    "    return entry and body_of_entry(entry[2]) or false\n"
    "  end\n"
    "  local text = redis.call('HGET', KEYS[3], source)\n"
    "  return text and body_of(text)\n"
    "end\n"
    "local function bury(text, died)\n"
    "  local token = token_of(redis.call('INCR', KEYS[8]), ARGV[4])\n"
    "  redis.call('HSET', KEYS[10], token, text)\n"
    "  redis.call('ZADD', KEYS[9], died, token)\n"
    "  redis.call('HINCRBY', KEYS[11], ARGV[2], 1)\n"
    "end\n"
    "local gone, later, moved = 0, {}, {}\n"
    "local at, i = 13, 6\n"
    "while i < #ARGV do\n"
    "  local source, lines, n = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 4])\n"
    "  local mine = is_mine(source)\n"
    "  if mine then\n"
    "    local body = body_at(source)\n"
    "    moved[#moved + 1] = source\n"
    "    if not body then\n"
    "      gone = gone + 1\n"
    "      bury(lines:sub(1, -2) .. 'queue ' .. ARGV[2] .. '\\nreason malformed\\ndied ' .. ARGV[5] ..\n"
    "        '\\nerror its body is gone from Redis: somebody deleted or changed keys of bide\\n\\n', "
    "ARGV[5])\n"
    "    elseif ARGV[i] == 'retry' then\n"
    "      later[#later + 1] = ARGV[i + 3]\n"
    "      later[#later + 1] = lines .. body\n"
    "    else\n"
    "      bury(lines .. body, ARGV[i + 3])\n"
    "    end\n"
    "  end\n"
    "  i = i + 5\n"
    "  for _ = 1, n do\n"
    "    if mine then send(KEYS[12], ARGV[3], ARGV[4], at, i) end\n"
    "    at, i = at + 5, i + 3\n"
    "  end\n"
    "end\n"
    "hold(1, KEYS[8], ARGV[4], ARGV[3], ARGV[2], later)\n"
    "for _, source in ipairs(moved) do take(source) end\n"
    "return 1 + gone\n";

/* Back as they were, for others first: what waited here for a free thread is not to come back while somebody
 * else waits. ARGV: worker, queue, wake channel, stream ids and tokens. */
const char bide_redis_lua_release[] = BIDE_REDIS_LUA_WAKE
    "if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end\n"
    "redis.call('PERSIST', KEYS[6])\n"
    "for i = 4, #ARGV do\n"
    "  local source = ARGV[i]\n"
    "  if source:find('-', 1, true) then\n"
    "    if #redis.call('XPENDING', KEYS[1], 'bide', source, source, 1, ARGV[1]) > 0 then\n"
    "      redis.call('XCLAIM', KEYS[1], 'bide', 'returned', 0, source, 'JUSTID')\n"
    "    end\n"
    "  else\n"
    "    local due = redis.call('ZSCORE', KEYS[7], source)\n"
    "    if due then\n"
    "      redis.call('ZADD', KEYS[2], due, source)\n"
    "      redis.call('ZREM', KEYS[7], source)\n"
    "    end\n"
    "  end\n"
    "end\n"
    "local waits = redis.call('SREM', KEYS[4], ARGV[1])\n"
    "local woken = wake(KEYS[4], ARGV[3], ARGV[2], #ARGV - 3)\n"
    "if waits == 1 and woken > 0 then redis.call('SADD', KEYS[4], ARGV[1]) end\n"
    "if waits == 1 and woken == 0 then redis.call('PUBLISH', ARGV[3] .. ARGV[1], ARGV[2]) end\n"
    "return 1\n";

/* After a lost connection: what was claimed for this worker without its getting to know goes back. ARGV:
 * worker, queue, wake channel, the stream ids and tokens that it does have. Answers which of these are not
 * its own (any more): a server that forgot its last second gives tokens out again. */
const char bide_redis_lua_keep[] = BIDE_REDIS_LUA_WAKE
    "if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end\n"
    "redis.call('PERSIST', KEYS[6])\n"
    "local known, mine, lost, n = {}, {}, {}, 0\n"
    "for i = 4, #ARGV do known[ARGV[i]] = true end\n"
    "for _, entry in ipairs(redis.call('XPENDING', KEYS[1], 'bide', '-', '+', 10000, ARGV[1])) do\n"
    "  mine[entry[1]] = true\n"
    "  if not known[entry[1]] then\n"
    "    redis.call('XCLAIM', KEYS[1], 'bide', 'returned', 0, entry[1], 'JUSTID')\n"
    "    n = n + 1\n"
    "  end\n"
    "end\n"
    "local owned = redis.call('ZRANGE', KEYS[7], 0, -1, 'WITHSCORES')\n"
    "for i = 1, #owned, 2 do\n"
    "  mine[owned[i]] = true\n"
    "  if not known[owned[i]] then\n"
    "    redis.call('ZADD', KEYS[2], owned[i + 1], owned[i])\n"
    "    redis.call('ZREM', KEYS[7], owned[i])\n"
    "    n = n + 1\n"
    "  end\n"
    "end\n"
    "wake(KEYS[4], ARGV[3], ARGV[2], n)\n"
    "for i = 4, #ARGV do\n"
    "  if not mine[ARGV[i]] then lost[#lost + 1] = ARGV[i] end\n"
    "end\n"
    "return lost\n";
