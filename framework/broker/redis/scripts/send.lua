-- Sends messages to one queue.
--
-- KEYS: the queue's five, seq, queues. ARGV: queue, wake channel, mark of tokens, how many are ready, those; then
-- due, message …
-- parts: wake token hold
redis.call('SADD', KEYS[7], ARGV[1])
local ready = tonumber(ARGV[4])
for i = 5, 4 + ready do redis.call('XADD', KEYS[1], '*', 'm', ARGV[i]) end
local later = {}
for i = 5 + ready, #ARGV do later[#later + 1] = ARGV[i] end
hold(1, KEYS[6], ARGV[3], ARGV[2], ARGV[1], later)
wake(KEYS[4], ARGV[2], ARGV[1], ready)
return 1
