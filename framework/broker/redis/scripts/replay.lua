-- Queues dead letters of one queue again, or sends those of a topic to it again, if it has a subscription now.
--
-- KEYS: the queue's five, dead, dead:held, dead:count, seq, queues. ARGV: queue, wake channel, mark of tokens, then token, due
-- ms or '' (now), new lines … Returns how many there still were.
-- parts: wake token hold topic body
redis.call('PERSIST', KEYS[6])
local now, later, tokens = {}, {}, {}

for i = 4, #ARGV, 3 do
  local token, due = ARGV[i], ARGV[i + 1]
  local text = redis.call('HGET', KEYS[7], token)
  if text and redis.call('ZSCORE', KEYS[6], token) then
    text = ARGV[i + 2] .. body_of(text)
    tokens[#tokens + 1] = token
    if due == '' then
      now[#now + 1] = text
    else
      later[#later + 1], later[#later + 2] = due, text
    end
  end
end
if is_topic(ARGV[1]) then
  if publish(KEYS[1], ARGV[1], KEYS[9], ARGV[2], ARGV[3], now, later) == 0 then return 0 end
else
  for _, text in ipairs(now) do redis.call('XADD', KEYS[1], '*', 'm', text) end
  hold(1, KEYS[9], ARGV[3], ARGV[2], ARGV[1], later)
end
for _, token in ipairs(tokens) do
  redis.call('ZREM', KEYS[6], token)
  redis.call('HDEL', KEYS[7], token)
end
if redis.call('HINCRBY', KEYS[8], ARGV[1], -#tokens) <= 0 and is_topic(ARGV[1]) then
  redis.call('SREM', KEYS[10], ARGV[1])
end
wake(KEYS[4], ARGV[2], ARGV[1], #now)
return #tokens
