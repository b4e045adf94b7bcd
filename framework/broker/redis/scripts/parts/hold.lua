-- Something is due before all that were in `delayed`: tells the worker that keeps the alarm; if it does not wait any
-- more, another waiting worker is woken and becomes the keeper. Needs wake.
local function alarm(at, channel, queue, keys)
  keys = keys or KEYS
  local waiting = keys[at + 3]
  local holder = redis.call('GET', keys[at + 4])
  if not holder or redis.call('SREM', waiting, holder) == 0
      or redis.call('PUBLISH', channel .. holder, queue) == 0 then
    wake(waiting, channel, queue, 1)
  end
end
-- Puts messages into `delayed` of the queue whose five keys begin at `at`. list: due, message, due, message … (at
-- most 2 × 1000). keys: another table than KEYS. Needs wake and token.
local function hold(at, seq, mark, channel, queue, list, keys)
  if #list == 0 then return end
  keys = keys or KEYS
  local delayed, held = keys[at + 1], keys[at + 2]
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
  if earlier then alarm(at, channel, queue, keys) end
end
