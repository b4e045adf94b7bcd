-- A page of a queue's stream, and who has each entry in hand. Changes nothing.
--
-- KEYS: ready. ARGV: stream id behind which to begin ('': at the first), 1 for only those in somebody's hands, most,
-- bytes of bodies that are enough (0: none). Returns the last id looked at ('': nothing is left behind it), then [id,
-- [field, value …]], who has it ('': nobody, it is ready), for how many ms, bytes of the body, …
-- parts: body lines
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local most, room = tonumber(ARGV[3]), tonumber(ARGV[4])
local whole, found, holders, last = room > 0, {}, {}, ''
if redis.call('EXISTS', KEYS[1]) == 0 then return {''} end

local function note(pending)
  if pending.err then return 0 end
  for _, one in ipairs(pending) do holders[one[1]] = one end
  return #pending
end

if ARGV[2] == '1' then
  local pending = redis.pcall('XPENDING', KEYS[1], 'bide', from, '+', most)
  if note(pending) == most then last = pending[most][1] end
  if not pending.err then
    for _, one in ipairs(pending) do
      local entry = one[2] ~= 'returned' and redis.call('XRANGE', KEYS[1], one[1], one[1])[1]
      if entry then found[#found + 1] = entry end
    end
  end
else
  found = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', most)
  if #found == most then last = found[most][1] end
  -- Entries that somebody deleted by hand may be pending, too.
  if #found > 0 then note(redis.pcall('XPENDING', KEYS[1], 'bide', found[1][1], found[#found][1], most + 1000)) end
end

local function shorten(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'm' then fields[i + 1] = lines_of(fields[i + 1]) end
    if fields[i] == 'body' then fields[i + 1] = '' end
  end
end

local page = {last}
for _, entry in ipairs(found) do
  if whole and room <= 0 then break end
  local holder, size = holders[entry[1]], #body_of_entry(entry[2])
  if not whole then shorten(entry[2]) end
  page[1] = whole and room <= size and entry[1] or last
  room = room - size
  page[#page + 1] = entry
  page[#page + 1] = holder and holder[2] ~= 'returned' and holder[2] or ''
  page[#page + 1], page[#page + 2] = holder and holder[3] or 0, size
end
return page
