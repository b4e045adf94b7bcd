-- A subscription gets nothing more. Where nothing of its queue is left, the queue is forgotten.
--
-- KEYS: the queue's five, subscriptions of its topic, queues, cancelled, dead:count. ARGV: its name.
redis.call('SREM', KEYS[6], ARGV[1])
local dead = tonumber(redis.call('HGET', KEYS[9], ARGV[1]) or '0')
if dead <= 0 and redis.call('XLEN', KEYS[1]) == 0 and redis.call('HLEN', KEYS[3]) == 0 then
  redis.call('SREM', KEYS[7], ARGV[1])
  redis.call('HDEL', KEYS[8], ARGV[1])
  redis.call('HDEL', KEYS[9], ARGV[1])
end
return 1
