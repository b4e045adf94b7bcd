#include "broker/redis/scripts/scripts.h"

/* KEYS: the queue's five, seq, queues. ARGV: queue, wake channel, mark of tokens, how many ready,
 * those; then due, message … */
const char bide_redis_lua_send[] = BIDE_REDIS_LUA_WAKE BIDE_REDIS_LUA_HOLD
    "redis.call('SADD', KEYS[7], ARGV[1])\n"
    "local ready = tonumber(ARGV[4])\n"
    "for i = 5, 4 + ready do redis.call('XADD', KEYS[1], '*', 'm', ARGV[i]) end\n"
    "local later = {}\n"
    "for i = 5 + ready, #ARGV do later[#later + 1] = ARGV[i] end\n"
    "hold(1, KEYS[6], ARGV[3], ARGV[2], ARGV[1], later)\n"
    "wake(KEYS[4], ARGV[2], ARGV[1], ready)\n"
    "return 1\n";
