#include "broker/redis/scripts/scripts.h"

/* Dead letters of one queue are queued again. KEYS: the queue's five, dead, dead:held, dead:count. ARGV:
 * queue, wake channel, then token, new lines … Answers how many there still were. */
const char bide_redis_lua_replay[] = BIDE_REDIS_LUA_WAKE BIDE_REDIS_LUA_BODY
    "redis.call('PERSIST', KEYS[6])\n"
    "local n = 0\n"
    "for i = 3, #ARGV, 2 do\n"
    "  local text = redis.call('HGET', KEYS[7], ARGV[i])\n"
    "  if text and redis.call('ZSCORE', KEYS[6], ARGV[i]) then\n"
    "    redis.call('XADD', KEYS[1], '*', 'm', ARGV[i + 1] .. body_of(text))\n"
    "    redis.call('ZREM', KEYS[6], ARGV[i])\n"
    "    redis.call('HDEL', KEYS[7], ARGV[i])\n"
    "    n = n + 1\n"
    "  end\n"
    "end\n"
    "redis.call('HINCRBY', KEYS[8], ARGV[1], -n)\n"
    "wake(KEYS[4], ARGV[2], ARGV[1], n)\n"
    "return n\n";

/* KEYS: dead, dead:held, dead:count. ARGV: queue, tokens. Answers how many there still were. */
const char bide_redis_lua_drop[] = "local n = redis.call('ZREM', KEYS[1], unpack(ARGV, 2))\n"
                                   "redis.call('HDEL', KEYS[2], unpack(ARGV, 2))\n"
                                   "redis.call('HINCRBY', KEYS[3], ARGV[1], -n)\n"
                                   "return n\n";
