-- A queue: its stream, and the group, which reads from the stream's beginning. Works on a full server too: what is
-- there already must be drained.
--
-- KEYS: ready, workers, queues, and to join a topic its subscriptions. ARGV: queue.
redis.call('PERSIST', KEYS[2])
redis.call('SADD', KEYS[3], ARGV[1])
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], 'bide', '0', 'MKSTREAM')
if type(made) == 'table' and made.err and not made.err:find('BUSYGROUP', 1, true) then return made end
if KEYS[4] then redis.call('SADD', KEYS[4], ARGV[1]) end
return 1
