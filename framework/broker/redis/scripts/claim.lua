-- Hands messages to a worker: what was handed back, what is due, what is nearly due, what is ready.
--
-- KEYS: the queue's five, workers, claimed. ARGV: worker, queue, wake channel, room (most that may run now), late
-- (most of these out of `delayed`), early (most that are nearly due), now, horizon (until when "nearly" goes), read
-- (1: read the stream too and, if nothing is left then, wait).
--
-- Returns -1 (not a worker any more), or: more (1: there may be more, claim again), the earliest due time left (or
-- ''), primary (1: this worker is the one to claim when that comes near), [token, due, message …], [entries …].
--
-- No wake is lost: "nothing left" and "I wait" are said in one script. A worker that filled its room may leave
-- something, so it wakes another. Therefore one wake a message is enough, and idle workers cause no commands.
-- parts: wake
local worker, queue, channel = ARGV[1], ARGV[2], ARGV[3]
local room, late, early = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local ready, delayed, held, waiting, alarm = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if redis.call('HEXISTS', KEYS[6], worker) == 0 then return -1 end
redis.call('SREM', waiting, worker)
local tokens, entries, more = {}, {}, 0

local function claim(from, to, most)
  if most <= 0 then return 0 end
  local found = redis.call('ZRANGEBYSCORE', delayed, from, to, 'WITHSCORES', 'LIMIT', 0, most)
  if #found == 0 then return 0 end
  local names, owned = {}, {}
  for i = 1, #found, 2 do
    names[#names + 1] = found[i]
    owned[i], owned[i + 1] = found[i + 1], found[i]
  end
  local texts = redis.call('HMGET', held, unpack(names))
  redis.call('ZADD', KEYS[7], unpack(owned))
  redis.call('ZREM', delayed, unpack(names))
  for i, name in ipairs(names) do
    tokens[#tokens + 1] = name
    tokens[#tokens + 1] = owned[2 * i - 1]
    tokens[#tokens + 1] = texts[i] or ''
  end
  return #names
end

local function claim_returned(most)
  if most <= 0 then return 0 end
  local pending = redis.call('XPENDING', ready, 'bide', '-', '+', most, 'returned')
  if #pending == 0 then return 0 end
  local ids = {}
  for i, entry in ipairs(pending) do ids[i] = entry[1] end
  for _, entry in ipairs(redis.call('XCLAIM', ready, 'bide', worker, 0, unpack(ids))) do
    -- Redis 6.2 answers nil for a deleted entry.
    if entry then entries[#entries + 1] = entry end
  end
  return #ids
end

local returned = claim_returned(room)
local due = claim('-inf', ARGV[7], math.min(late, room - returned))
if returned + due > 0 and (returned == room or due == late) then more = 1 end
if early > 0 and due < math.max(late, 1) and claim('(' .. ARGV[7], ARGV[8], early) == early then more = 1 end
if ARGV[9] == '1' then
  local left = room - returned - due
  if left > 0 then
    local got = redis.call('XREADGROUP', 'GROUP', 'bide', worker, 'COUNT', left, 'STREAMS', ready, '>')
    if got then
      for _, entry in ipairs(got[1][2]) do entries[#entries + 1] = entry end
      if #got[1][2] == left then more = 1 end
    end
  else
    more = 1
  end
end

local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2] or ''
local primary = 0
if more == 1 then
  wake(waiting, channel, queue, 1)
elseif ARGV[9] == '1' then
  redis.call('SADD', waiting, worker)
  if first ~= '' then
    local holder = redis.call('GET', alarm)
    if not holder or holder == worker or redis.call('SISMEMBER', waiting, holder) == 0 then
      if holder ~= worker then redis.call('SET', alarm, worker) end
      primary = 1
    end
  end
end
return {more, first, primary, tokens, entries}
