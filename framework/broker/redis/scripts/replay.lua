-- Queues dead letters of one queue again.
--
-- KEYS: the queue's five, dead, dead:held, dead:count. ARGV: queue, wake channel, then token, new lines … Returns how
-- many there still were.
-- parts: wake body
redis.call('PERSIST', KEYS[6])
local n = 0
for i = 3, #ARGV, 2 do
  local text = redis.call('HGET', KEYS[7], ARGV[i])
  if text and redis.call('ZSCORE', KEYS[6], ARGV[i]) then
    redis.call('XADD', KEYS[1], '*', 'm', ARGV[i + 1] .. body_of(text))
    redis.call('ZREM', KEYS[6], ARGV[i])
    redis.call('HDEL', KEYS[7], ARGV[i])
    n = n + 1
  end
end
redis.call('HINCRBY', KEYS[8], ARGV[1], -n)
wake(KEYS[4], ARGV[2], ARGV[1], n)
return n
