-- Messages are done.
--
-- KEYS: the queue's five, workers, claimed. ARGV: worker, how many stream ids, those, tokens. Returns 1. Returns -1
-- when others have taken over the worker's messages (then nothing was done). Doing it again, because its answer was
-- lost, does nothing the second time.
--
-- A body is deleted only with its token: if a token was not in this worker's hands, the message in `delayed` keeps
-- its body.
if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end
local n = tonumber(ARGV[2])
if n > 0 then
  redis.call('XACK', KEYS[1], 'bide', unpack(ARGV, 3, 2 + n))
  redis.call('XDEL', KEYS[1], unpack(ARGV, 3, 2 + n))
end
if #ARGV == 2 + n then return 1 end
if redis.call('ZREM', KEYS[7], unpack(ARGV, 3 + n)) == #ARGV - 2 - n then
  redis.call('HDEL', KEYS[3], unpack(ARGV, 3 + n))
  return 1
end
for i = 3 + n, #ARGV do
  if not redis.call('ZSCORE', KEYS[2], ARGV[i]) then redis.call('HDEL', KEYS[3], ARGV[i]) end
end
return 1
