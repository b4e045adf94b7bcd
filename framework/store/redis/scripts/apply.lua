-- Applies letters: each is applied as a whole, since nothing else runs meanwhile.
--
-- KEYS: session, pulse, judged, then what the operations name by its place: facts and ends of a scope, one behind the
-- other, or permits. ARGV: session, ms that it lives, prefix of the session keys, then the operations of each letter
-- (kind, stop: '1' or '', place in KEYS, key, ms to last, what else the kind needs), and '.' behind each letter.
--
-- Returns four values for each operation: flags (1 ok, 2 changed, 4 first; -1 skipped), two numbers, data or false.
-- parts: pulse
local now = redis.call('TIME')
local now_us = now[1] * 1000000 + now[2]
local now_ms = math.floor(now_us / 1000)
local left, with_ends, dropped, alive = {}, {}, {}, {}
local beaten = false
local out, n_out = {}, 0

local function answer(flags, first, second, data)
  out[n_out + 1], out[n_out + 2], out[n_out + 3], out[n_out + 4] = flags, first, second, data or false
  n_out = n_out + 4
  return flags % 2 == 1
end
local function digits(number) return string.format('%.0f', number) end

-- How long the scope lasts; below 0: there is none.
local function scope_left(at)
  local key = KEYS[at]
  if not left[key] then left[key] = redis.call('PTTL', key) end
  return left[key]
end
-- Lets it last at least so long; twice as long, so that a busy scope is not touched each time.
local function lengthen(at, ms)
  local key, has = KEYS[at], scope_left(at)
  if ms == 0 or has >= ms then return end
  if has < 0 then redis.call('HSET', key, 's', '') end
  redis.call('PEXPIRE', key, digits(2 * ms))
  left[key], with_ends[at] = 2 * ms, true
end

-- Returns its state (0: there is none), data, ms that it lasts, and whether it has an entry in `ends`.
local function read_fact(at, key)
  if scope_left(at) < 0 then return 0, '', 0, false end
  local value = redis.call('HGET', KEYS[at], 'f' .. key)
  if not value then return 0, '', 0, false end
  local state, last, data = value:match('^([1-7])(%d*) ()')
  if not state then return 0, '', 0, false end
  if last == '' then return tonumber(state), value:sub(data), scope_left(at), false end
  local lasts = last - now_ms
  if lasts <= 0 then return 0, '', 0, true end
  return tonumber(state), value:sub(data), lasts, true
end
local function write_fact(at, key, state, data, lasts, has_end)
  if state == 0 then
    redis.call('HDEL', KEYS[at], 'f' .. key)
  elseif lasts > 0 then
    local last = digits(now_ms + lasts)
    lengthen(at, lasts)
    redis.call('HSET', KEYS[at], 'f' .. key, state .. last .. ' ' .. data)
    redis.call('ZADD', KEYS[at + 1], last, key)
    with_ends[at] = true
    return
  else
    redis.call('HSET', KEYS[at], 'f' .. key, state .. ' ' .. data)
  end
  if has_end then redis.call('ZREM', KEYS[at + 1], key) end
end

-- ---- sessions ----
local function beat()
  if beaten then return end
  pulse(KEYS[2], KEYS[3])
  redis.call('SET', KEYS[1], '', 'PX', ARGV[2])
  beaten = true
end
local function is_alive(session)
  if alive[session] == nil then
    local value = redis.call('GET', ARGV[3] .. session)
    local judge = value ~= '' and redis.call('EXISTS', KEYS[3]) == 0 and redis.call('EXISTS', KEYS[2]) == 1
    alive[session] = value == '' or (not value and not judge)
  end
  return alive[session]
end
-- Removes the holders that have left; once a call. Returns how many stay.
local function drop_dead(at)
  if not dropped[KEYS[at]] then
    dropped[KEYS[at]] = true
    local all = redis.call('HGETALL', KEYS[at])
    for i = 1, #all, 2 do
      local last, session = all[i + 1]:match('^(%d+) (.*)$')
      if not last or last - now_ms <= 0 or not is_alive(session) then redis.call('HDEL', KEYS[at], all[i]) end
    end
  end
  return redis.call('HLEN', KEYS[at])
end

-- ---- one function a kind; i: where its own arguments begin. Returns whether it is ok, and where the next begins ----
local kinds = {}

-- from (digits), to, expect, data
function kinds.t(i, at, key, lasts)
  local from, to, expect, given = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  local state, data, has, has_end = read_fact(at, key)
  local turns = from:find(state, 1, true) and data:sub(1, #expect) == expect
    and (to == 0 or lasts > 0 or scope_left(at) >= 0)
  if turns or (state == to and (to == 0 or data == given)) then
    local changes = turns and (state > 0 or to > 0)
    if changes then write_fact(at, key, to, given, lasts, has_end) end
    return answer(changes and 3 or 1, state, 0), i + 4
  end
  return answer(0, state, has, state > 0 and data), i + 4
end

function kinds.g(i, at, key)
  local state, data, has = read_fact(at, key)
  return answer(state > 0 and 1 or 0, state, has, state > 0 and data), i
end

-- n, interval, within (us)
function kinds.m(i, at, key)
  local n, interval, within = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local _, free, _, has_end = read_fact(at, key)
  local wait, granted = (tonumber(free) or 0) - now_us, 0
  if wait < 0 or wait > 316224000000000 then wait = 0 end
  if wait <= within then granted = math.min(n, math.floor((within - wait) / interval) + 1) end
  if granted > 0 then
    local ends = wait + granted * interval
    write_fact(at, key, 1, digits(now_us + ends), math.floor(ends / 1000) + 1, has_end)
  end
  return answer(wait == 0 and 1 or 0, granted, wait, digits(now_us)), i + 3
end

-- member (-1: none), total
function kinds.a(i, at, key, lasts)
  local member, total = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  lengthen(at, lasts)
  if scope_left(at) < 0 then return answer(0, 0, 0), i + 2 end
  local members, known = (redis.call('HGET', KEYS[at], 't' .. key) or '0 0'):match('^(%d+) (%d+)$')
  members, known = tonumber(members) or 0, tonumber(known) or 0
  local was_complete, field, bits = known > 0 and members >= known, nil, nil
  if member >= 0 then
    field = 'b' .. digits(math.floor(member / 4096)) .. ':' .. key
    bits = redis.call('HGET', KEYS[at], field) or ''
    local byte_at, bit = math.floor(member % 4096 / 8), 2 ^ (member % 8)
    local byte = bits:byte(byte_at + 1) or 0
    if math.floor(byte / bit) % 2 == 1 then
      field = nil
    else
      bits = bits .. string.rep('\0', byte_at - #bits)
      bits = bits:sub(1, byte_at) .. string.char(byte + bit) .. bits:sub(byte_at + 2)
      members = members + 1
    end
  end
  local is_new, says_more = field ~= nil, known == 0 and total > 0
  if says_more then known = total end
  if is_new then
    redis.call('HSET', KEYS[at], 't' .. key, digits(members) .. ' ' .. digits(known), field, bits)
  elseif says_more then
    redis.call('HSET', KEYS[at], 't' .. key, digits(members) .. ' ' .. digits(known))
  end
  local complete = known > 0 and members >= known
  return answer((complete and 1 or 0) + (is_new and 2 or 0) + (complete and not was_complete and 4 or 0), members,
    known), i + 2
end

-- holder, n
function kinds.q(i, at, _, lasts)
  local holder, n = ARGV[i], tonumber(ARGV[i + 1])
  if n > 0 then beat() end
  local count = redis.call('HLEN', KEYS[at])
  local there = n > 0 and redis.call('HEXISTS', KEYS[at], holder) == 1
  if not there and count >= n then count = drop_dead(at) end
  if not there and count >= n then return answer(0, count, 0), i + 2 end
  redis.call('HSET', KEYS[at], holder, digits(now_ms + lasts) .. ' ' .. ARGV[1])
  if redis.call('PTTL', KEYS[at]) < lasts then redis.call('PEXPIRE', KEYS[at], digits(lasts)) end
  return answer(there and 1 or 3, there and count or count + 1, 0), i + 2
end

-- holder
function kinds.r(i, at)
  local value = redis.call('HGET', KEYS[at], ARGV[i])
  local mine = value and value:match('^%d+ (.*)$') == ARGV[1]
  if mine then redis.call('HDEL', KEYS[at], ARGV[i]) end
  return answer(mine and 3 or 1, 0, 0), i + 1
end

function kinds.c(i, at, _, lasts)
  local key = KEYS[at]
  if lasts == 0 then
    redis.call('UNLINK', key, KEYS[at + 1])
    left[key] = -2
  else
    if scope_left(at) < 0 then redis.call('HSET', key, 's', '') end
    redis.call('PEXPIRE', key, digits(lasts))
    left[key], with_ends[at] = lasts, true
  end
  return answer(1, 0, 0), i
end

-- How many arguments of its own a kind has, to skip it.
local own = {t = 4, g = 0, m = 3, a = 2, q = 2, r = 1, c = 0}
local i, stopped = 4, false
while i <= #ARGV do
  local kind = ARGV[i]
  if kind == '.' then
    i, stopped = i + 1, false
  elseif stopped then
    answer(-1, 0, 0)
    i = i + 5 + own[kind]
  else
    local stop, ok = ARGV[i + 1] == '1', nil
    ok, i = kinds[kind](i + 5, tonumber(ARGV[i + 2]), ARGV[i + 3], tonumber(ARGV[i + 4]))
    stopped = stop and not ok
  end
end

-- What has lapsed goes, a little at a time, and `ends` lapses with its scope.
for at in pairs(with_ends) do
  local old = redis.call('ZRANGEBYSCORE', KEYS[at + 1], '-inf', digits(now_ms), 'LIMIT', 0, 250)
  for _, key in ipairs(old) do
    redis.call('HDEL', KEYS[at], 'f' .. key)
    redis.call('ZREM', KEYS[at + 1], key)
  end
  if left[KEYS[at]] > 0 then redis.call('PEXPIRE', KEYS[at + 1], digits(left[KEYS[at]])) end
end
return out
