-- Gives messages of one queue that wait another due time.
--
-- KEYS: the queue's five, seq. ARGV: queue, wake channel, mark of tokens, now, due, then for each: stream id or token,
-- new lines ('': they stay). Returns for each: 1 rescheduled, 2 a worker has it, 0 gone.
--
-- What is in the stream is ready, and stays there if it is to run now. Else it goes to `delayed`.
-- parts: wake token hold body standing
redis.call('PERSIST', KEYS[6])
local now, due = tonumber(ARGV[4]), tonumber(ARGV[5])
local answers, later, entries, sooner = {}, {}, {}, false
local first = tonumber(redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '1e300')

local function move_token(token, lines)
  local score = tonumber(redis.call('ZSCORE', KEYS[2], token))
  if due <= now and score <= now then return end
  if lines ~= '' then
    redis.call('HSET', KEYS[3], token, lines .. body_of(redis.call('HGET', KEYS[3], token) or ''))
  end
  redis.call('ZADD', KEYS[2], ARGV[5], token)
  sooner = sooner or due < first
end

local function move_entry(id, lines)
  if due <= now then return end
  local fields, text = redis.call('XRANGE', KEYS[1], id, id)[1][2], nil
  for i = 1, #fields, 2 do
    if fields[i] == 'm' then text = fields[i + 1] end
  end
  if not text or lines ~= '' then text = lines .. body_of_entry(fields) end
  later[#later + 1], later[#later + 2] = ARGV[5], text
  entries[#entries + 1] = id
end

for i = 6, #ARGV, 2 do
  local state = standing(ARGV[i])
  if state == 1 then
    if ARGV[i]:find('-', 1, true) then move_entry(ARGV[i], ARGV[i + 1]) else move_token(ARGV[i], ARGV[i + 1]) end
  end
  answers[#answers + 1] = state
end
if sooner then alarm(1, ARGV[2], ARGV[1]) end
hold(1, KEYS[6], ARGV[3], ARGV[2], ARGV[1], later)
for _, id in ipairs(entries) do remove_entry(id) end
return answers
