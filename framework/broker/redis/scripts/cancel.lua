-- Cancels messages of one queue that wait.
--
-- KEYS: the queue's five, cancelled. ARGV: queue, stream ids and tokens. Returns for each: 1 cancelled, 2 a worker has
-- it, 0 gone.
-- parts: standing
redis.call('PERSIST', KEYS[6])
local answers, n = {}, 0
for i = 2, #ARGV do
  local source = ARGV[i]
  local state = standing(source)
  if state == 1 then
    n = n + 1
    if source:find('-', 1, true) then
      remove_entry(source)
    else
      redis.call('ZREM', KEYS[2], source)
      redis.call('HDEL', KEYS[3], source)
    end
  end
  answers[i - 1] = state
end
if n > 0 then redis.call('HINCRBY', KEYS[6], ARGV[1], n) end
return answers
