-- A worker leaves. Afterwards it takes over what it has left itself, or others do.
--
-- KEYS: workers, alive, lost. ARGV: worker.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
redis.call('SADD', KEYS[3], ARGV[1])
return 1
