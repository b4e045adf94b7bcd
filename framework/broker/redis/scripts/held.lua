-- A page of the messages in `delayed`, or of those in one worker's hands, by due time and token. Changes nothing.
--
-- KEYS: delayed or claimed, held. ARGV: due and token behind which to begin ('': from this due time on), the last due
-- time, most, bytes of bodies that are enough (0: lines only). Returns [token, due, text, bytes of the body, …].
--
-- The token that the page before ended with may be gone: its place among those of the same due time is looked for.
-- parts: body lines
local from, after, last, room = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local low = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. from)
if after ~= '' then
  local high = redis.call('ZCOUNT', KEYS[1], '-inf', from)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZRANGE', KEYS[1], middle, middle)[1] <= after then low = middle + 1 else high = middle end
  end
end
local found = redis.call('ZRANGE', KEYS[1], low, low + tonumber(ARGV[4]) - 1, 'WITHSCORES')
local page, whole = {}, room > 0
for i = 1, #found, 2 do
  if last ~= '+inf' and tonumber(found[i + 1]) > tonumber(last) then break end
  if whole and room <= 0 then break end
  local text = redis.call('HGET', KEYS[2], found[i]) or ''
  local lines, size = lines_of(text)
  page[#page + 1], page[#page + 2] = found[i], found[i + 1]
  page[#page + 1], page[#page + 2] = whole and text or lines, size
  room = room - size
end
return page
