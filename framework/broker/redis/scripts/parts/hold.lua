-- Puts messages into `delayed` of the queue whose five keys begin at `at`. list: due, message, due, message … (at
-- most 2 × 1000). When one of them is due before all that were there, the worker that keeps the alarm is told; if it
-- does not wait any more, another waiting worker is woken and becomes the keeper. Needs wake and token.
local function hold(at, seq, mark, channel, queue, list)
  if #list == 0 then return end
  local delayed, held, waiting, alarm = KEYS[at + 1], KEYS[at + 2], KEYS[at + 3], KEYS[at + 4]
  local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
  local earliest, earlier = tonumber(first or '1e300'), false
  local token, times, texts = redis.call('INCRBY', seq, #list / 2) - #list / 2, {}, {}
  for i = 1, #list, 2 do
    token = token + 1
    local name = token_of(token, mark)
    times[i], times[i + 1] = list[i], name
    texts[i], texts[i + 1] = name, list[i + 1]
    if tonumber(list[i]) < earliest then earlier = true end
  end
  redis.call('HSET', held, unpack(texts))
  redis.call('ZADD', delayed, unpack(times))
  if not earlier then return end
  local holder = redis.call('GET', alarm)
  if not holder or redis.call('SREM', waiting, holder) == 0
      or redis.call('PUBLISH', channel .. holder, queue) == 0 then
    wake(waiting, channel, queue, 1)
  end
end
