-- Gives back what a lost worker has of one queue, a batch at a time, and wakes who waits. It wakes somebody even when
-- there was nothing: the lost worker may have died after it had been woken.
--
-- KEYS: the queue's five, workers, claimed. ARGV: worker, queue, wake channel, most at once. Returns how many; 0:
-- nothing is left.
-- parts: wake
local worker = ARGV[1]
if redis.call('HEXISTS', KEYS[6], worker) == 1 then return 0 end
redis.call('SREM', KEYS[4], worker)
local owned = redis.call('ZRANGE', KEYS[7], 0, ARGV[4] - 1, 'WITHSCORES')
local names, times, ids = {}, {}, {}
for i = 1, #owned, 2 do
  names[#names + 1] = owned[i]
  times[i], times[i + 1] = owned[i + 1], owned[i]
end
if #names > 0 then
  redis.call('ZADD', KEYS[2], unpack(times))
  redis.call('ZREM', KEYS[7], unpack(names))
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  local pending = redis.pcall('XPENDING', KEYS[1], 'bide', '-', '+', ARGV[4], worker)
  if not pending.err then
    for i, entry in ipairs(pending) do ids[i] = entry[1] end
    if #ids > 0 then
      ids[#ids + 1] = 'JUSTID'
      redis.call('XCLAIM', KEYS[1], 'bide', 'returned', 0, unpack(ids))
    else
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'bide', worker)
    end
  end
end
wake(KEYS[4], ARGV[3], ARGV[2], math.max(#names + #ids, 1))
return #names + #ids
