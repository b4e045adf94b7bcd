#include "broker/redis/scripts/scripts.h"

/* All: KEYS: the queue's five, workers, claimed, …; ARGV: worker, … They answer 1 (but for the last), or -1
 * when the worker's messages have been taken over: nothing was done. Doing one again (its answer was lost)
 * does nothing the second time. */

/* ARGV: worker, how many stream ids, those, tokens. */
const char bide_redis_lua_ack[] = "if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end\n"
                                  "local n = tonumber(ARGV[2])\n"
                                  "if n > 0 then\n"
                                  "  redis.call('XACK', KEYS[1], 'bide', unpack(ARGV, 3, 2 + n))\n"
                                  "  redis.call('XDEL', KEYS[1], unpack(ARGV, 3, 2 + n))\n"
                                  "end\n"
                                  "if #ARGV > 2 + n then\n"
                                  "  redis.call('ZREM', KEYS[7], unpack(ARGV, 3 + n))\n"
                                  "  redis.call('HDEL', KEYS[3], unpack(ARGV, 3 + n))\n"
                                  "end\n"
                                  "return 1\n";

/* One message is done and others are sent, at once. KEYS from the 8th: seq, queues, then five for each queue
 * sent to. ARGV: worker, stream id or token, wake channel, then for each sent: which queue (0 the first), its
 * name, due ('' now), message. */
const char bide_redis_lua_follow[] = BIDE_REDIS_LUA_WAKE BIDE_REDIS_LUA_HOLD
    "if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end\n"
    "local source = ARGV[2]\n"
    "if source:find('-', 1, true) then\n"
    "  if redis.call('XACK', KEYS[1], 'bide', source) == 0 then return 1 end\n"
    "  redis.call('XDEL', KEYS[1], source)\n"
    "else\n"
    "  if redis.call('ZREM', KEYS[7], source) == 0 then return 1 end\n"
    "  redis.call('HDEL', KEYS[3], source)\n"
    "end\n"
    "for i = 4, #ARGV, 4 do\n"
    "  local at = 10 + 5 * tonumber(ARGV[i])\n"
    "  redis.call('SADD', KEYS[9], ARGV[i + 1])\n"
    "  if ARGV[i + 2] == '' then\n"
    "    redis.call('XADD', KEYS[at], '*', 'm', ARGV[i + 3])\n"
    "    wake(KEYS[at + 3], ARGV[3], ARGV[i + 1], 1)\n"
    "  else\n"
    "    hold(at, KEYS[8], ARGV[3], ARGV[i + 1], {ARGV[i + 2], ARGV[i + 3]})\n"
    "  end\n"
    "end\n"
    "return 1\n";

/* Retries and dead letters; the body stays on the server. KEYS from the 8th: seq, dead, dead:held,
 * dead:count. ARGV: worker, queue, wake channel, then for each: "retry" or "dead", stream id or token, new
 * lines, due or died ms. A retry gets a new token: a command that arrives late from a lost connection cannot
 * touch it. */
const char bide_redis_lua_move[] = BIDE_REDIS_LUA_WAKE BIDE_REDIS_LUA_HOLD BIDE_REDIS_LUA_BODY
    "if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end\n"
    "local function take(source)\n"
    "  if source:find('-', 1, true) then\n"
    "    local entry = redis.call('XRANGE', KEYS[1], source, source)[1]\n"
    "    if redis.call('XACK', KEYS[1], 'bide', source) == 0 then return nil end\n"
    "    redis.call('XDEL', KEYS[1], source)\n"
    "    return entry and body_of_entry(entry[2])\n"
    "  end\n"
    "  if redis.call('ZREM', KEYS[7], source) == 0 then return nil end\n"
    "  local text = redis.call('HGET', KEYS[3], source)\n"
    "  redis.call('HDEL', KEYS[3], source)\n"
    "  return text and body_of(text)\n"
    "end\n"
    "local later = {}\n"
    "for i = 4, #ARGV, 4 do\n"
    "  local body = take(ARGV[i + 1])\n"
    "  if body and ARGV[i] == 'retry' then\n"
    "    later[#later + 1] = ARGV[i + 3]\n"
    "    later[#later + 1] = ARGV[i + 2] .. body\n"
    "  elseif body then\n"
    "    local token = string.format('%016.0f', redis.call('INCR', KEYS[8]))\n"
    "    redis.call('HSET', KEYS[10], token, ARGV[i + 2] .. body)\n"
    "    redis.call('ZADD', KEYS[9], ARGV[i + 3], token)\n"
    "    redis.call('HINCRBY', KEYS[11], ARGV[2], 1)\n"
    "  end\n"
    "end\n"
    "hold(1, KEYS[8], ARGV[3], ARGV[2], later)\n"
    "return 1\n";

/* Back as they were. ARGV: worker, queue, wake channel, stream ids and tokens. */
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
    "      redis.call('ZREM', KEYS[7], source)\n"
    "      redis.call('ZADD', KEYS[2], due, source)\n"
    "    end\n"
    "  end\n"
    "end\n"
    "wake(KEYS[4], ARGV[3], ARGV[2], #ARGV - 3)\n"
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
    "    redis.call('ZREM', KEYS[7], owned[i])\n"
    "    redis.call('ZADD', KEYS[2], owned[i + 1], owned[i])\n"
    "    n = n + 1\n"
    "  end\n"
    "end\n"
    "wake(KEYS[4], ARGV[3], ARGV[2], n)\n"
    "for i = 4, #ARGV do\n"
    "  if not mine[ARGV[i]] then lost[#lost + 1] = ARGV[i] end\n"
    "end\n"
    "return lost\n";
