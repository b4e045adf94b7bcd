-- Retries and dead letters; the body stays on the server.
--
-- KEYS: the queue's five, workers, claimed, seq, dead, dead:held, dead:count, queues, then five for the queue of each
-- message that is sent with a dead letter. ARGV: worker, queue, wake channel, mark of tokens, now, then for each:
-- "retry" or "dead", stream id or token, new lines, due or died ms, how many it sends, and for each of these: name of
-- its queue, due ('' now), message. Returns -1 when others have taken over the worker's messages (then nothing was
-- done). Doing it again, because its answer was lost, does nothing the second time.
--
-- A retry gets a new token: a command that arrives late from a lost connection cannot touch it. A message whose body
-- is gone, because somebody deleted the stream's entry or the key, becomes a dead letter without one. Returns 1 plus
-- the number of these.
-- parts: wake token hold topic body take send_one
if redis.call('HEXISTS', KEYS[6], ARGV[1]) == 0 then return -1 end
redis.call('PERSIST', KEYS[6])
-- Returns false when the body is gone.
local function body_at(source)
  if source:find('-', 1, true) then
    local entry = redis.call('XRANGE', KEYS[1], source, source)[1]
    return entry and body_of_entry(entry[2]) or false
  end
  local text = redis.call('HGET', KEYS[3], source)
  return text and body_of(text)
end
local function bury(text, died)
  local token = token_of(redis.call('INCR', KEYS[8]), ARGV[4])
  redis.call('HSET', KEYS[10], token, text)
  redis.call('ZADD', KEYS[9], died, token)
  redis.call('HINCRBY', KEYS[11], ARGV[2], 1)
end
local gone, later, moved = 0, {}, {}
local at, i = 13, 6
while i < #ARGV do
  local source, lines, n = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 4])
  local mine = is_mine(source)
  if mine then
    local body = body_at(source)
    moved[#moved + 1] = source
    if not body then
      gone = gone + 1
      bury(lines:sub(1, -2) .. 'queue ' .. ARGV[2] .. '\nreason malformed\ndied ' .. ARGV[5] ..
        '\nerror its body is gone from Redis: somebody deleted or changed keys of bide\n\n', ARGV[5])
    elseif ARGV[i] == 'retry' then
      later[#later + 1] = ARGV[i + 3]
      later[#later + 1] = lines .. body
    else
      bury(lines .. body, ARGV[i + 3])
    end
  end
  i = i + 5
  for _ = 1, n do
    if mine then send(KEYS[12], ARGV[3], ARGV[4], at, i) end
    at, i = at + 5, i + 3
  end
end
hold(1, KEYS[8], ARGV[4], ARGV[3], ARGV[2], later)
for _, source in ipairs(moved) do take(source) end
return 1 + gone
