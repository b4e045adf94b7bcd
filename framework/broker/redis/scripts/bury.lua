-- Stores dead letters from elsewhere.
--
-- KEYS: seq, dead, dead:held, dead:count, queues. ARGV: mark of tokens, then for each: queue, 1 if that name is to be
-- remembered, died ms, message.
-- parts: token
for i = 2, #ARGV, 4 do
  local token = token_of(redis.call('INCR', KEYS[1]), ARGV[1])
  redis.call('HSET', KEYS[3], token, ARGV[i + 3])
  redis.call('ZADD', KEYS[2], ARGV[i + 2], token)
  redis.call('HINCRBY', KEYS[4], ARGV[i], 1)
  if ARGV[i + 1] == '1' then redis.call('SADD', KEYS[5], ARGV[i]) end
end
return (#ARGV - 1) / 4
