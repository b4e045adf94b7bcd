-- A topic, "@TOPIC", has no queue: the names of its subscriptions are in a set beside the five keys that a queue of
-- that name would have. `ready` is the first of these five.
local function is_topic(queue)
  return queue:sub(1, 1) == '@'
end

-- Puts a copy of each message into the queue of each subscription; returns how many these are. now: messages. later:
-- due, message, due, message … Needs wake, token and hold.
local function publish(ready, queue, seq, channel, mark, now, later)
  local prefix = ready:sub(1, #ready - #queue - #':ready')
  local subscriptions = redis.call('SMEMBERS', prefix .. queue .. ':subscriptions')
  for _, name in ipairs(subscriptions) do
    local keys = {}
    for i, part in ipairs({'ready', 'delayed', 'held', 'waiting', 'alarm'}) do
      keys[i] = prefix .. name .. ':' .. part
    end
    for _, text in ipairs(now) do redis.call('XADD', keys[1], '*', 'm', text) end
    hold(1, seq, mark, channel, name, later, keys)
    wake(keys[4], channel, name, #now)
  end
  return #subscriptions
end

-- The same; where there is no subscription, each message becomes an unrouted dead letter.
local function send_to_topic(ready, queue, seq, queues, channel, mark, now, later)
  if publish(ready, queue, seq, channel, mark, now, later) > 0 then return end
  local dead = ready:sub(1, #ready - #queue - #'q::ready') .. 'dead'
  local time = redis.call('TIME')
  local died = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  local lines = 'queue ' .. queue .. "\nreason unrouted\nattempt 0\ndied " .. died ..
    "\nerror topic '" .. queue:sub(2) .. "' had no subscription\n"
  local function park(text)
    local token = token_of(redis.call('INCR', seq), mark)
    redis.call('HSET', dead .. ':held', token, lines .. text)
    redis.call('ZADD', dead, died, token)
    redis.call('HINCRBY', dead .. ':count', queue, 1)
  end
  redis.call('SADD', queues, queue)
  for _, text in ipairs(now) do park(text) end
  for i = 2, #later, 2 do park(later[i]) end
end
