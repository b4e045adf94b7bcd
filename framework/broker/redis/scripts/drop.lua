-- Deletes dead letters of one queue.
--
-- KEYS: dead, dead:held, dead:count. ARGV: queue, tokens. Returns how many there still were.
local n = redis.call('ZREM', KEYS[1], unpack(ARGV, 2))
redis.call('HDEL', KEYS[2], unpack(ARGV, 2))
redis.call('HINCRBY', KEYS[3], ARGV[1], -n)
return n
