-- Drops the oldest dead letters that the retention no longer allows, in one page of the letters, by time of death.
--
-- KEYS: dead, dead:held, dead:count. ARGV: ms before which they died, most of a queue (0: any number), first rank and
-- length of the page. Returns how many it dropped, how many it looked at, and 1 where another page may have more.
redis.call('PERSIST', KEYS[1])
local before, most, first, length = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local surplus, left, room = {}, 0, 1048576

local escapes = {['\\n'] = '\n', ['\\t'] = '\t', ['\\\\'] = '\\'}

local function queue_of(text)
  local last = text:find('\n\n', 1, true) or 0
  local queue = ('\n' .. text:sub(1, last)):match('\nqueue ([^\n]*)\n') or ''
  return (queue:gsub('\\.', escapes))
end

local function drop(token, queue)
  redis.call('ZREM', KEYS[1], token)
  redis.call('HDEL', KEYS[2], token)
  redis.call('HINCRBY', KEYS[3], queue, -1)
  if surplus[queue] then
    surplus[queue], left = surplus[queue] - 1, left - 1
    if surplus[queue] == 0 then surplus[queue] = nil end
  end
end

if most > 0 then
  for _, queue in ipairs(redis.call('HKEYS', KEYS[3])) do
    local n = tonumber(redis.call('HGET', KEYS[3], queue)) - most
    if n > 0 then surplus[queue], left = n, left + n end
  end
end
local found = redis.call('ZRANGE', KEYS[1], first, first + length - 1, 'WITHSCORES')
local dropped, seen = 0, 0
for i = 1, #found, 2 do
  local token, old = found[i], tonumber(found[i + 1]) < before
  if room <= 0 then return {dropped, seen, 1} end
  if not old and left == 0 then return {dropped, seen, 0} end
  local text = redis.call('HGET', KEYS[2], token) or ''
  local queue = queue_of(text)
  room, seen = room - #text, seen + 1
  if old or surplus[queue] then
    drop(token, queue)
    dropped = dropped + 1
  end
end
return {dropped, seen, #found == 2 * length and 1 or 0}
