-- Queues dead letters of one queue again.
--
-- KEYS: the queue's five, dead, dead:held, dead:count, seq. ARGV: queue, wake channel, mark of tokens, then token, due
-- ms or '' (now), new lines … Returns how many there still were.
-- parts: wake token hold body
redis.call('PERSIST', KEYS[6])
local ready, later, held = 0, {}, {}

local function remove(token)
  redis.call('ZREM', KEYS[6], token)
  redis.call('HDEL', KEYS[7], token)
end

for i = 4, #ARGV, 3 do
  local token, due = ARGV[i], ARGV[i + 1]
  local text = redis.call('HGET', KEYS[7], token)
  if text and redis.call('ZSCORE', KEYS[6], token) then
    text = ARGV[i + 2] .. body_of(text)
    if due == '' then
      redis.call('XADD', KEYS[1], '*', 'm', text)
      remove(token)
      ready = ready + 1
    else
      held[#held + 1], later[#later + 1], later[#later + 2] = token, due, text
    end
  end
end
hold(1, KEYS[9], ARGV[3], ARGV[2], ARGV[1], later)
for _, token in ipairs(held) do remove(token) end
redis.call('HINCRBY', KEYS[8], ARGV[1], -ready - #held)
wake(KEYS[4], ARGV[2], ARGV[1], ready)
return ready + #held
