-- A worker leaves, or gives up its name. What it has left is taken over afterwards, by itself or by others.
--
-- KEYS: workers, alive, lost. ARGV: worker.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
redis.call('SADD', KEYS[3], ARGV[1])
return 1
