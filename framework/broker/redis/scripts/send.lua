-- Sends messages to one queue or topic.
--
-- KEYS: the queue's five, seq, queues. ARGV: queue, wake channel, mark of tokens, how many are ready, those; then
-- due, message …
-- parts: wake token hold topic
local ready, later = tonumber(ARGV[4]), {}
for i = 5 + ready, #ARGV do later[#later + 1] = ARGV[i] end
if is_topic(ARGV[1]) then
  local now = {}
  for i = 5, 4 + ready do now[#now + 1] = ARGV[i] end
  send_to_topic(KEYS[1], ARGV[1], KEYS[6], KEYS[7], ARGV[2], ARGV[3], now, later)
  return 1
end
redis.call('SADD', KEYS[7], ARGV[1])
for i = 5, 4 + ready do redis.call('XADD', KEYS[1], '*', 'm', ARGV[i]) end
hold(1, KEYS[6], ARGV[3], ARGV[2], ARGV[1], later)
wake(KEYS[4], ARGV[2], ARGV[1], ready)
return 1
