-- Messages are done and others are sent, at once.
--
-- KEYS: the queue's five, workers, claimed, seq, queues, then five for the queue of each message that is sent. ARGV:
-- worker, wake channel, mark of tokens, then for each that is done: stream id or token, how many it sends, and for
-- each of these: name of its queue, due ('' now), message. Returns 1. Returns -1 when others have taken over the
-- worker's messages (then nothing was done). Doing it again, because its answer was lost, does nothing the second
-- time.
-- parts: wake token hold topic take send_one
if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end
redis.call('PERSIST', KEYS[6])
local at, i = 10, 4
while i < #ARGV do
  local source, n = ARGV[i], tonumber(ARGV[i + 1])
  local mine = is_mine(source)
  i = i + 2
  for _ = 1, n do
    if mine then send(KEYS[9], ARGV[2], ARGV[3], at, i) end
    at, i = at + 5, i + 3
  end
  if mine then take(source) end
end
return 1
