-- Hands a batch to an exporting worker, whatever its due time. It is then in that worker's hands like any other
-- message, and goes back like any other when the worker dies or leaves. The script never waits, and wakes nobody: it
-- leaves nothing that others were not told of.
--
-- KEYS: the queue's five, workers, claimed. ARGV: worker, most, bytes that are enough. Returns -1 (not a worker any
-- more), or: [entries …], [token, due, message …].
local worker, most, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ready, delayed, held, claimed = KEYS[1], KEYS[2], KEYS[3], KEYS[7]
if redis.call('HEXISTS', KEYS[6], worker) == 0 then return -1 end
redis.call('PERSIST', KEYS[6])
local entries, tokens = {}, {}

local function add(list)
  for _, entry in ipairs(list) do
    -- Redis 6.2 answers nil for a deleted entry.
    if entry then
      entries[#entries + 1] = entry
      for i = 2, #entry[2], 2 do room = room - #entry[2][i] end
    end
  end
end

local function few() return math.min(20, most - #entries) end
if redis.call('EXISTS', ready) == 1 then
  redis.pcall('XGROUP', 'CREATE', ready, 'bide', '0')
  while room > 0 and #entries < most do
    local pending = redis.call('XPENDING', ready, 'bide', '-', '+', few(), 'returned')
    if #pending == 0 then break end
    local ids = {}
    for i, entry in ipairs(pending) do ids[i] = entry[1] end
    add(redis.call('XCLAIM', ready, 'bide', worker, 0, unpack(ids)))
  end
  while room > 0 and #entries < most do
    local got = redis.call('XREADGROUP', 'GROUP', 'bide', worker, 'COUNT', few(), 'STREAMS', ready, '>')
    if not got then break end
    add(got[1][2])
  end
end

if room > 0 and #entries < most then
  local found = redis.call('ZRANGE', delayed, 0, most - #entries - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    if room <= 0 then break end
    local text = redis.call('HGET', held, found[i]) or ''
    redis.call('ZADD', claimed, found[i + 1], found[i])
    redis.call('ZREM', delayed, found[i])
    tokens[#tokens + 1], tokens[#tokens + 2], tokens[#tokens + 3] = found[i], found[i + 1], text
    room = room - #text
  end
end
return {entries, tokens}
