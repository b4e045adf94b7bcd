-- A worker's heartbeat; about once a second one of all workers also looks for dead ones, however many workers there
-- are. A worker without a heartbeat leaves `workers` here: from then on it settles nothing, and it stays in `lost`
-- until it has nothing left.
--
-- KEYS: workers, alive, pulse, judged, lost. ARGV: worker, now, ms the heartbeat lasts, prefix of the alive keys, 1
-- to look for the dead. Returns 0 (taken over), or the workers whose messages are to be taken over.
-- parts: pulse
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('PERSIST', KEYS[2])
pulse(KEYS[3], KEYS[4])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
if ARGV[5] ~= '1' or not redis.call('SET', KEYS[4], '', 'NX', 'PX', 900) then return {} end
for _, worker in ipairs(redis.call('HKEYS', KEYS[1])) do
  if redis.call('EXISTS', ARGV[4] .. worker) == 0 then
    redis.call('HDEL', KEYS[1], worker)
    redis.call('SADD', KEYS[5], worker)
  end
end
return redis.call('SMEMBERS', KEYS[5])
