-- After a lost connection: what was claimed for this worker without its knowledge goes back.
--
-- KEYS: the queue's five, workers, claimed. ARGV: worker, queue, wake channel, the stream ids and tokens that it does
-- have. Returns those of them that are not its own (any more): a server that forgot its last second gives tokens out
-- again. Returns -1 when others have taken over the worker's messages.
-- parts: wake
if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end
redis.call('PERSIST', KEYS[6])
local known, mine, lost, n = {}, {}, {}, 0
for i = 4, #ARGV do known[ARGV[i]] = true end
for _, entry in ipairs(redis.call('XPENDING', KEYS[1], 'bide', '-', '+', #ARGV + 10000, ARGV[1])) do
  mine[entry[1]] = true
  if not known[entry[1]] then
    redis.call('XCLAIM', KEYS[1], 'bide', 'returned', 0, entry[1], 'JUSTID')
    n = n + 1
  end
end
local owned = redis.call('ZRANGE', KEYS[7], 0, -1, 'WITHSCORES')
for i = 1, #owned, 2 do
  mine[owned[i]] = true
  if not known[owned[i]] then
    redis.call('ZADD', KEYS[2], owned[i + 1], owned[i])
    redis.call('ZREM', KEYS[7], owned[i])
    n = n + 1
  end
end
wake(KEYS[4], ARGV[3], ARGV[2], n)
for i = 4, #ARGV do
  if not mine[ARGV[i]] then lost[#lost + 1] = ARGV[i] end
end
return lost
