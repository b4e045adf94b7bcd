-- A page of a scope's facts.
--
-- KEYS: facts. ARGV: cursor, prefix of the keys, about how many. Returns the next cursor (0: done), then key, state, ms
-- that it lasts and data of each.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local left = redis.call('PTTL', KEYS[1])
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[3])
local found, wanted = {page[1]}, 'f' .. ARGV[2]
for i = 1, #page[2], 2 do
  local field, value = page[2][i], page[2][i + 1]
  if field:sub(1, #wanted) == wanted then
    local state, last, at = value:match('^([1-7])(%d*) ()')
    local lasts = last and last ~= '' and last - now_ms or left
    if state and lasts > 0 then
      local n = #found
      found[n + 1], found[n + 2], found[n + 3], found[n + 4] = field:sub(2), tonumber(state), lasts, value:sub(at)
    end
  end
end
return found
