#include "broker/redis/scripts/scripts.h"

/* A queue: its stream and the group, reading from the stream's beginning. KEYS: ready, workers, queues. ARGV:
 * queue. Also on a full server: what is there already must be drained. */
const char bide_redis_lua_declare[] =
    "redis.call('PERSIST', KEYS[2])\n"
    "redis.call('SADD', KEYS[3], ARGV[1])\n"
    "local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], 'bide', '0', 'MKSTREAM')\n"
    "if type(made) == 'table' and made.err and not made.err:find('BUSYGROUP', 1, true) then return made end\n"
    "return 1\n";

/* Notes that the server hears from workers. After a silence nobody is judged for a while: it was the server
 * that stood still, restarted or was cut off, so that the heartbeats of the living have run out as well, and
 * they get the time to come back. Silence is shorter than the lease by more than the time between two beats,
 * and the time to come back as long as the longest pause before connecting again, and a beat. */
#define LUA_PULSE                                                                                            \
    "local function pulse(key, judged)\n"                                                                    \
    "  if redis.call('EXISTS', key) == 0 then redis.call('SET', judged, '', 'PX', 4000) end\n"               \
    "  redis.call('SET', key, '', 'PX', 1700)\n"                                                             \
    "end\n"

/* A worker joins, or comes back under a name it has. KEYS: workers, alive, pulse, judged. ARGV: worker, what
 * it calls itself, now, ms the heartbeat lasts, 1 if it must be known. Answers 1, or 0: taken over meanwhile,
 * use a new name. */
const char bide_redis_lua_join[] =
    LUA_PULSE "if ARGV[5] == '1' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end\n"
              "redis.call('PERSIST', KEYS[2])\n"
              "pulse(KEYS[3], KEYS[4])\n"
              "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])\n"
              "redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])\n"
              "return 1\n";

/* KEYS: workers, alive, pulse, judged, lost. ARGV: worker, now, ms the heartbeat lasts, prefix of the alive
 * keys, 1 to look for the dead. Answers 0 (taken over) or the list of workers whose messages are to be taken
 * over. About once a second one of all workers looks: so their number does not count twice. Who does not beat
 * leaves `workers` here: from then on it settles nothing, and stays in `lost` until it has nothing left. */
const char bide_redis_lua_beat[] =
    LUA_PULSE "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end\n"
              "redis.call('PERSIST', KEYS[2])\n"
              "pulse(KEYS[3], KEYS[4])\n"
              "redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])\n"
              "if ARGV[5] ~= '1' or not redis.call('SET', KEYS[4], '', 'NX', 'PX', 900) then return {} end\n"
              "for _, worker in ipairs(redis.call('HKEYS', KEYS[1])) do\n"
              "  if redis.call('EXISTS', ARGV[4] .. worker) == 0 then\n"
              "    redis.call('HDEL', KEYS[1], worker)\n"
              "    redis.call('SADD', KEYS[5], worker)\n"
              "  end\n"
              "end\n"
              "return redis.call('SMEMBERS', KEYS[5])\n";

/* KEYS: workers, alive, lost. ARGV: worker. What it has left is taken over next, by itself or by others. */
const char bide_redis_lua_leave[] = "redis.call('HDEL', KEYS[1], ARGV[1])\n"
                                    "redis.call('DEL', KEYS[2])\n"
                                    "redis.call('SADD', KEYS[3], ARGV[1])\n"
                                    "return 1\n";

/* Gives back what a lost worker has of one queue, a batch at a time, and wakes who waits: also when there was
 * nothing, for it may have died after having been woken. KEYS: the queue's five, workers, claimed. ARGV:
 * worker, queue, wake channel, most at once. Answers how many; 0: nothing is left. */
const char bide_redis_lua_take_over[] = BIDE_REDIS_LUA_WAKE
    "local worker = ARGV[1]\n"
    "if redis.call('HEXISTS', KEYS[6], worker) == 1 then return 0 end\n"
    "redis.call('SREM', KEYS[4], worker)\n"
    "local owned = redis.call('ZRANGE', KEYS[7], 0, ARGV[4] - 1, 'WITHSCORES')\n"
    "local names, times, ids = {}, {}, {}\n"
    "for i = 1, #owned, 2 do\n"
    "  names[#names + 1] = owned[i]\n"
    "  times[i], times[i + 1] = owned[i + 1], owned[i]\n"
    "end\n"
    "if #names > 0 then\n"
    "  redis.call('ZADD', KEYS[2], unpack(times))\n"
    "  redis.call('ZREM', KEYS[7], unpack(names))\n"
    "end\n"
    "if redis.call('EXISTS', KEYS[1]) == 1 then\n"
    "  local pending = redis.pcall('XPENDING', KEYS[1], 'bide', '-', '+', ARGV[4], worker)\n"
    "  if not pending.err then\n"
    "    for i, entry in ipairs(pending) do ids[i] = entry[1] end\n"
    "    if #ids > 0 then\n"
    "      ids[#ids + 1] = 'JUSTID'\n"
    "      redis.call('XCLAIM', KEYS[1], 'bide', 'returned', 0, unpack(ids))\n"
    "    else\n"
    "      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'bide', worker)\n"
    "    end\n"
    "  end\n"
    "end\n"
    "wake(KEYS[4], ARGV[3], ARGV[2], math.max(#names + #ids, 1))\n"
    "return #names + #ids\n";

/* Now and then: consumers of a queue's group that are no workers (one that went on after it had been taken
 * over) are listed as lost, and one waiting worker looks at what foreign producers may have added without a
 * wake. KEYS: the queue's five, workers, lost. ARGV: queue, wake channel. */
const char bide_redis_lua_orphans[] =
    BIDE_REDIS_LUA_WAKE "redis.call('SREM', KEYS[7], '')\n"
                        "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
                        "local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], 'bide')\n"
                        "if consumers.err then return 0 end\n"
                        "local found = 0\n"
                        "for _, consumer in ipairs(consumers) do\n"
                        "  local name = consumer[2]\n"
                        "  if name ~= 'returned' and redis.call('HEXISTS', KEYS[6], name) == 0 then\n"
                        "    found = found + redis.call('SADD', KEYS[7], name)\n"
                        "  end\n"
                        "end\n"
                        "wake(KEYS[4], ARGV[2], ARGV[1], 1)\n"
                        "return found\n";
