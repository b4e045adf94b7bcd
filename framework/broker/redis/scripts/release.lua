-- Messages go back as they were, for other workers first: a message that waited here for a free thread must not come
-- back while another worker waits.
--
-- KEYS: the queue's five, workers, claimed. ARGV: worker, queue, wake channel, stream ids and tokens. Returns 1.
-- Returns -1 when others have taken over the worker's messages (then nothing was done). Doing it again, because its
-- answer was lost, does nothing the second time.
-- parts: wake
if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end
redis.call('PERSIST', KEYS[6])
for i = 4, #ARGV do
  local source = ARGV[i]
  if source:find('-', 1, true) then
    if #redis.call('XPENDING', KEYS[1], 'bide', source, source, 1, ARGV[1]) > 0 then
      redis.call('XCLAIM', KEYS[1], 'bide', 'returned', 0, source, 'JUSTID')
    end
  else
    local due = redis.call('ZSCORE', KEYS[7], source)
    if due then
      redis.call('ZADD', KEYS[2], due, source)
      redis.call('ZREM', KEYS[7], source)
    end
  end
end
local waits = redis.call('SREM', KEYS[4], ARGV[1])
local woken = wake(KEYS[4], ARGV[3], ARGV[2], #ARGV - 3)
if waits == 1 and woken > 0 then redis.call('SADD', KEYS[4], ARGV[1]) end
if waits == 1 and woken == 0 then redis.call('PUBLISH', ARGV[3] .. ARGV[1], ARGV[2]) end
return 1
