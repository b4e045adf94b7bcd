-- A worker joins, or comes back under its name.
--
-- KEYS: workers, alive, pulse, judged. ARGV: worker, what it calls itself, now, ms the heartbeat lasts, 1 if the
-- worker must be known. Returns 1, or 0: it was taken over meanwhile and needs a new name.
-- parts: pulse
if ARGV[5] == '1' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('PERSIST', KEYS[2])
pulse(KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1
