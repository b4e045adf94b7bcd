-- Called now and then. Lists consumers of the queue's group that are no workers as lost (such as one that went on
-- after it had been taken over), and wakes one waiting worker, which looks for what foreign producers have added
-- without a wake.
--
-- KEYS: the queue's five, workers, lost. ARGV: queue, wake channel. Returns how many it listed.
-- parts: wake
redis.call('SREM', KEYS[7], '')
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], 'bide')
if consumers.err then return 0 end
local found = 0
for _, consumer in ipairs(consumers) do
  local name = consumer[2]
  if name ~= 'returned' and redis.call('HEXISTS', KEYS[6], name) == 0 then
    found = found + redis.call('SADD', KEYS[7], name)
  end
end
wake(KEYS[4], ARGV[2], ARGV[1], 1)
return found
