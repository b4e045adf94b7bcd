#include "broker/redis/scripts/scripts.h"

/* Hands a batch to an exporting worker, whatever its due time: it is then in its hands like any other's, and
 * goes back like any other's when it dies or leaves. It never waits, and wakes nobody: it leaves nothing that
 * others were not told of.
 *
 * KEYS: the queue's five, workers, claimed. ARGV: worker, most, bytes that are enough. Answers -1 (not a
 * worker any more), or: [entries …], [token, due, message …]. */
const char bide_redis_lua_export[] =
    "local worker, most, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local ready, delayed, held, claimed = KEYS[1], KEYS[2], KEYS[3], KEYS[7]\n"
    "if redis.call('HEXISTS', KEYS[6], worker) == 0 then return -1 end\n"
    "redis.call('PERSIST', KEYS[6])\n"
    "local entries, tokens = {}, {}\n"
    "\n"
    "local function add(list)\n"
    "  for _, entry in ipairs(list) do\n"
    "    if entry then\n" /* Redis 6.2 answers nil for a deleted one */
    "      entries[#entries + 1] = entry\n"
    "      for i = 2, #entry[2], 2 do room = room - #entry[2][i] end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "\n"
    "local function few() return math.min(20, most - #entries) end\n"
    "if redis.call('EXISTS', ready) == 1 then\n"
    "  redis.pcall('XGROUP', 'CREATE', ready, 'bide', '0')\n"
    "  while room > 0 and #entries < most do\n"
    "    local pending = redis.call('XPENDING', ready, 'bide', '-', '+', few(), 'returned')\n"
    "    if #pending == 0 then break end\n"
    "    local ids = {}\n"
    "    for i, entry in ipairs(pending) do ids[i] = entry[1] end\n"
    "    add(redis.call('XCLAIM', ready, 'bide', worker, 0, unpack(ids)))\n"
    "  end\n"
    "  while room > 0 and #entries < most do\n"
    "    local got = redis.call('XREADGROUP', 'GROUP', 'bide', worker, 'COUNT', few(), 'STREAMS', ready, "
    "'>')\n"
    "    if not got then break end\n"
    "    add(got[1][2])\n"
    "  end\n"
    "end\n"
    "\n"
    "if room > 0 and #entries < most then\n"
    "  local found = redis.call('ZRANGE', delayed, 0, most - #entries - 1, 'WITHSCORES')\n"
    "  for i = 1, #found, 2 do\n"
    "    if room <= 0 then break end\n"
    "    local text = redis.call('HGET', held, found[i]) or ''\n"
    "    redis.call('ZADD', claimed, found[i + 1], found[i])\n"
    "    redis.call('ZREM', delayed, found[i])\n"
    "    tokens[#tokens + 1], tokens[#tokens + 2], tokens[#tokens + 3] = found[i], found[i + 1], text\n"
    "    room = room - #text\n"
    "  end\n"
    "end\n"
    "return {entries, tokens}\n";

/* Dead letters from elsewhere. KEYS: seq, dead, dead:held, dead:count, queues. ARGV: mark of tokens,
 * then for each: queue, 1 if that is a name to be remembered, died ms, message. */
const char bide_redis_lua_bury[] =
    BIDE_REDIS_LUA_TOKEN "for i = 2, #ARGV, 4 do\n"
                         "  local token = token_of(redis.call('INCR', KEYS[1]), ARGV[1])\n"
                         "  redis.call('HSET', KEYS[3], token, ARGV[i + 3])\n"
                         "  redis.call('ZADD', KEYS[2], ARGV[i + 2], token)\n"
                         "  redis.call('HINCRBY', KEYS[4], ARGV[i], 1)\n"
                         "  if ARGV[i + 1] == '1' then redis.call('SADD', KEYS[5], ARGV[i]) end\n"
                         "end\n"
                         "return (#ARGV - 1) / 4\n";
