-- Since when the oldest ready message of a queue has been ready: what nobody has taken yet, what was handed back, and
-- what is delayed and has fallen due.
--
-- KEYS: ready, delayed. ARGV: now. Returns Unix ms; -1 where nothing is ready, -2 where the server does not tell.
local since = -1

local function note(text)
  local ms = tonumber(text)
  if since == -1 or ms < since then since = ms end
end

if redis.call('EXISTS', KEYS[1]) == 1 then
  local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
  if groups.err then return -2 end
  local last = '0-0'
  for _, group in ipairs(groups) do
    local found = {}
    for i = 1, #group, 2 do found[group[i]] = group[i + 1] end
    if found['name'] == 'bide' then last = found['last-delivered-id'] end
  end
  local following = redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 1)[1]
  if following then note(following[1]:match('^%d+')) end
  if #groups > 0 then
    local returned = redis.pcall('XPENDING', KEYS[1], 'bide', '-', '+', 1, 'returned')
    if not returned.err and returned[1] then note(returned[1][1]:match('^%d+')) end
  end
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
if first and tonumber(first) <= tonumber(ARGV[1]) then note(first) end
return since
