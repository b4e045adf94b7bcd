#include "broker/redis/scripts/scripts.h"

/* Hands messages to a worker: what was handed back, what is due, what is nearly due, what is ready.
 *
 * KEYS: the queue's five, workers, claimed. ARGV: worker, queue, wake channel, room (most that may be run
 * now), late (most of these out of `delayed`), early (most that are nearly due), now, horizon (until when
 * "nearly" goes), read (1: read the stream too and, if that leaves nothing, wait).
 *
 * Answers -1 (not a worker any more), or: more (1: there may be more: claim again), the earliest due time
 * left (or
 * ''), primary (1: this worker is the one to claim when that comes near), [token, due, message …], [entries
 * …].
 *
 * No wake is lost: "nothing left" and "I wait" are said in one script. A worker that filled its room may
 * leave something: it wakes another. So one wake a message is enough, and idle workers cause no commands. */
const char bide_redis_lua_claim[] = BIDE_REDIS_LUA_WAKE
    "local worker, queue, channel = ARGV[1], ARGV[2], ARGV[3]\n"
    "local room, late, early = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])\n"
    "local ready, delayed, held, waiting, alarm = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]\n"
    "if redis.call('HEXISTS', KEYS[6], worker) == 0 then return -1 end\n"
    "redis.call('SREM', waiting, worker)\n"
    "local tokens, entries, more = {}, {}, 0\n"
    "\n"
    "local function claim(from, to, most)\n"
    "  if most <= 0 then return 0 end\n"
    "  local found = redis.call('ZRANGEBYSCORE', delayed, from, to, 'WITHSCORES', 'LIMIT', 0, most)\n"
    "  if #found == 0 then return 0 end\n"
    "  local names, owned = {}, {}\n"
    "  for i = 1, #found, 2 do\n"
    "    names[#names + 1] = found[i]\n"
    "    owned[i], owned[i + 1] = found[i + 1], found[i]\n"
    "  end\n"
    "  local texts = redis.call('HMGET', held, unpack(names))\n"
    "  redis.call('ZADD', KEYS[7], unpack(owned))\n"
    "  redis.call('ZREM', delayed, unpack(names))\n"
    "  for i, name in ipairs(names) do\n"
    "    tokens[#tokens + 1] = name\n"
    "    tokens[#tokens + 1] = owned[2 * i - 1]\n"
    "    tokens[#tokens + 1] = texts[i] or ''\n"
    "  end\n"
    "  return #names\n"
    "end\n"
    "\n"
    "local function claim_returned(most)\n"
    "  if most <= 0 then return 0 end\n"
    "  local pending = redis.call('XPENDING', ready, 'bide', '-', '+', most, 'returned')\n"
    "  if #pending == 0 then return 0 end\n"
    "  local ids = {}\n"
    "  for i, entry in ipairs(pending) do ids[i] = entry[1] end\n"
    "  for _, entry in ipairs(redis.call('XCLAIM', ready, 'bide', worker, 0, unpack(ids))) do\n"
    "    if entry then entries[#entries + 1] = entry end\n" /* Redis 6.2 answers nil for a deleted one */
    "  end\n"
    "  return #ids\n"
    "end\n"
    "\n"
    "local returned = claim_returned(room)\n"
    "local due = claim('-inf', ARGV[7], math.min(late, room - returned))\n"
    "if returned + due > 0 and (returned == room or due == late) then more = 1 end\n"
    "if early > 0 and due < math.max(late, 1) and claim('(' .. ARGV[7], ARGV[8], early) == early then more = "
    "1 end\n"
    "if ARGV[9] == '1' then\n"
    "  local left = room - returned - due\n"
    "  if left > 0 then\n"
    "    local got = redis.call('XREADGROUP', 'GROUP', 'bide', worker, 'COUNT', left, 'STREAMS', ready, "
    "'>')\n"
    "    if got then\n"
    "      for _, entry in ipairs(got[1][2]) do entries[#entries + 1] = entry end\n"
    "      if #got[1][2] == left then more = 1 end\n"
    "    end\n"
    "  else\n"
    "    more = 1\n"
    "  end\n"
    "end\n"
    "\n"
    "local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2] or ''\n"
    "local primary = 0\n"
    "if more == 1 then\n"
    "  wake(waiting, channel, queue, 1)\n"
    "elseif ARGV[9] == '1' then\n"
    "  redis.call('SADD', waiting, worker)\n"
    "  if first ~= '' then\n"
    "    local holder = redis.call('GET', alarm)\n"
    "    if not holder or holder == worker or redis.call('SISMEMBER', waiting, holder) == 0 then\n"
    "      if holder ~= worker then redis.call('SET', alarm, worker) end\n"
    "      primary = 1\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return {more, first, primary, tokens, entries}\n";
