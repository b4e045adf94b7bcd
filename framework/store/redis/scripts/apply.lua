-- Applies letters: each is applied as a whole, since nothing else runs meanwhile.
--
-- KEYS: session, pulse, judged, then what the operations name by its place: facts and ends of a scope, one behind the
-- other, or permits. ARGV: session, ms that it lives, prefix of the session keys, then the operations of each letter:
-- kind (a capital: what stands behind it in the letter is applied only if it is ok), place in KEYS, and what the kind
-- needs; and '.' behind each letter.
--
-- Returns for each operation flags (1 ok, 2 changed, 4 first; -1 skipped) + 8 * how many values follow: two numbers and
-- data, those at the end left out that are 0 or none.
--
-- Most of what a call costs is the number of its commands: so all facts are read at its beginning, and written at its end.
-- parts: pulse
local now = redis.call('TIME')
local now_us = now[1] * 1000000 + now[2]
local now_ms = math.floor(now_us / 1000)
local scopes, dropped, alive = {}, {}, {}
local beaten = false
local out, n_out = {}, 0

local function answer(flags, first, second, data)
  local n = data and 3 or second ~= 0 and 2 or first ~= 0 and 1 or 0
  out[n_out + 1] = flags + 8 * n
  if n > 0 then out[n_out + 2] = first end
  if n > 1 then out[n_out + 3] = second end
  if n > 2 then out[n_out + 4] = data end
  n_out = n_out + 1 + n
  return flags % 2 == 1
end
local function digits(number) return string.format('%.0f', number) end
local end_of = {} -- of what lasts so long from now on, as digits: most letters of a call ask for the same
local function ends_after(ms)
  if not end_of[ms] then end_of[ms] = digits(now_ms + ms) end
  return end_of[ms]
end

-- ---- scopes: facts by field (false: there is none), which fields have changed, and their ends (false: none) ----
local function scope_at(at)
  local key = KEYS[at]
  local scope = scopes[key]
  if not scope then
    scope = {key = key, ends_key = KEYS[at + 1], left = redis.call('PTTL', key), wanted = {}, facts = {}, changed = {},
      ends = {}}
    scopes[key] = scope
  end
  return scope
end
local function read_all(scope)
  local wanted, facts = scope.wanted, scope.facts
  if #wanted == 0 or scope.left < 0 then return end
  local values = redis.call('HMGET', scope.key, unpack(wanted))
  for i = 1, #wanted do facts[wanted[i]] = values[i] end
end
-- Calls a command with a list of any length.
local function call_with(command, key, list)
  for i = 1, #list, 1000 do redis.call(command, key, unpack(list, i, math.min(i + 999, #list))) end
end
local function write_all(scope)
  local set, removed, ends, no_ends = {}, {}, {}, {}
  for field in pairs(scope.changed) do
    local value = scope.facts[field]
    if value then
      set[#set + 1] = field
      set[#set + 1] = value
    else
      removed[#removed + 1] = field
    end
  end
  for key, last in pairs(scope.ends) do
    if last then
      ends[#ends + 1] = last
      ends[#ends + 1] = key
    else
      no_ends[#no_ends + 1] = key
    end
  end
  call_with('HSET', scope.key, set)
  call_with('HDEL', scope.key, removed)
  call_with('ZADD', scope.ends_key, ends)
  call_with('ZREM', scope.ends_key, no_ends)
end
-- What has lapsed goes, a little at a time, and `ends` lapses with its scope.
local function sweep(scope)
  local old, fields = redis.call('ZRANGEBYSCORE', scope.ends_key, '-inf', digits(now_ms), 'LIMIT', 0, 250), {}
  for i = 1, #old do fields[i] = 'f' .. old[i] end
  call_with('HDEL', scope.key, fields)
  call_with('ZREM', scope.ends_key, old)
  if scope.left > 0 then redis.call('PEXPIRE', scope.ends_key, digits(scope.left)) end
end
-- Lets it last at least so long; twice as long, so that a busy scope is not touched each time.
local function lengthen(scope, ms)
  if ms == 0 or scope.left >= ms then return end
  if scope.left < 0 then redis.call('HSET', scope.key, 's', '') end
  redis.call('PEXPIRE', scope.key, digits(2 * ms))
  scope.left, scope.has_ends = 2 * ms, true
end

-- Returns its state (a digit; '0': there is none), data, ms that it lasts, and whether it has an end of its own.
local function read_fact(scope, key)
  local value = scope.left >= 0 and scope.facts['f' .. key]
  if not value then return '0', '', 0, false end
  local state, last, data = value:match('^([1-7])(%d*) ()')
  if not state then return '0', '', 0, false end
  if last == '' then return state, value:sub(data), scope.left, false end
  local lasts = last - now_ms
  if lasts <= 0 then return '0', '', 0, true end
  return state, value:sub(data), lasts, true
end
local function write_fact(scope, key, state, data, lasts, has_end)
  local field, last = 'f' .. key, ''
  if state ~= '0' and lasts > 0 then
    last = ends_after(lasts)
    lengthen(scope, lasts)
    scope.ends[key], scope.has_ends = last, true
  elseif has_end then
    scope.ends[key] = false
  end
  scope.facts[field] = state ~= '0' and state .. last .. ' ' .. data
  scope.changed[field] = true
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
-- A permit with one holder, as most have, is a string "session holder"; with several, a hash of holders. What asks for
-- more than the first makes it a hash.
local function as_hash(key)
  local value = redis.pcall('GET', key)
  if type(value) ~= 'string' then return end
  local session, holder = value:match('^(%S+) (.*)$')
  local left = redis.call('PTTL', key)
  redis.call('UNLINK', key)
  if not session or left < 0 then return end
  redis.call('HSET', key, holder, digits(now_ms + left) .. ' ' .. session)
  redis.call('PEXPIRE', key, digits(left))
end
-- Removes the holders that have left; once a call. Returns how many stay.
local function drop_dead(key)
  if not dropped[key] then
    dropped[key] = true
    local all = redis.call('HGETALL', key)
    for i = 1, #all, 2 do
      local last, session = all[i + 1]:match('^(%d+) (.*)$')
      if not last or last - now_ms <= 0 or not is_alive(session) then redis.call('HDEL', key, all[i]) end
    end
  end
  return redis.call('HLEN', key)
end

-- ---- one function a kind; i: where its own arguments begin, then its scope and place. Returns whether it is ok ----
local kinds = {}

-- key, ms to last, from (digits), to, expect, data
function kinds.t(i, scope)
  local key, from, to, expect, given = ARGV[i], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local lasts = tonumber(ARGV[i + 1])
  local state, data, has, has_end = read_fact(scope, key)
  local turns = from:find(state, 1, true) and (expect == '' or data:sub(1, #expect) == expect)
    and (to == '0' or lasts > 0 or scope.left >= 0)
  if turns or (state == to and (to == '0' or data == given)) then
    local changes = turns and (state ~= '0' or to ~= '0')
    if changes then write_fact(scope, key, to, given, lasts, has_end) end
    return answer(changes and 3 or 1, tonumber(state), 0)
  end
  return answer(0, tonumber(state), has, state ~= '0' and data)
end

-- key
function kinds.g(i, scope)
  local state, data, has = read_fact(scope, ARGV[i])
  return answer(state ~= '0' and 1 or 0, tonumber(state), has, state ~= '0' and data)
end

-- key, n, interval, within (us)
function kinds.m(i, scope)
  local key = ARGV[i]
  local n, interval, within = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local _, free, _, has_end = read_fact(scope, key)
  local wait, granted = (tonumber(free) or 0) - now_us, 0
  if wait < 0 or wait > 316224000000000 then wait = 0 end
  if wait <= within then granted = math.min(n, math.floor((within - wait) / interval) + 1) end
  if granted > 0 then
    local ends = wait + granted * interval
    write_fact(scope, key, '1', digits(now_us + ends), math.floor(ends / 1000) + 1, has_end)
  end
  return answer(wait == 0 and 1 or 0, granted, wait, digits(now_us))
end

-- Where a member of a set is: field of its page, the page, the byte's place there (from 0), the byte, the bit's worth.
local function page_of(scope, key, member)
  local field = 'b' .. digits(math.floor(member / 4096)) .. ':' .. key
  local bits, at = redis.call('HGET', scope.key, field) or '', math.floor(member % 4096 / 8)
  return field, bits, at, bits:byte(at + 1) or 0, 2 ^ (member % 8)
end

-- key, ms to last, member (-1: none), total, set that keeps it out ('': none)
function kinds.a(i, scope)
  local key, unless = ARGV[i], ARGV[i + 4]
  local member, total = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  lengthen(scope, tonumber(ARGV[i + 1]))
  if scope.left < 0 then return answer(0, 0, 0) end
  local members, known = (redis.call('HGET', scope.key, 't' .. key) or '0 0'):match('^(%d+) (%d+)$')
  members, known = tonumber(members) or 0, tonumber(known) or 0
  local was_complete, field, bits, byte_at, byte, bit = known > 0 and members >= known
  if member >= 0 and unless ~= '' then
    local _, _, _, has, worth = page_of(scope, unless, member)
    if math.floor(has / worth) % 2 == 1 then member = -1 end
  end
  if member >= 0 then
    field, bits, byte_at, byte, bit = page_of(scope, key, member)
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
    redis.call('HSET', scope.key, 't' .. key, digits(members) .. ' ' .. digits(known), field, bits)
  elseif says_more then
    redis.call('HSET', scope.key, 't' .. key, digits(members) .. ' ' .. digits(known))
  end
  local complete = known > 0 and members >= known
  return answer((complete and 1 or 0) + (is_new and 2 or 0) + (complete and not was_complete and 4 or 0), members,
    known)
end

-- ms to last, holder, n
function kinds.q(i, _, at)
  local key, lasts, holder, n = KEYS[at], tonumber(ARGV[i]), ARGV[i + 1], tonumber(ARGV[i + 2])
  if n > 0 then beat() end
  if n > 0 and redis.call('SET', key, ARGV[1] .. ' ' .. holder, 'NX', 'PX', ARGV[i]) then return answer(3, 1, 0) end
  as_hash(key)
  local count = redis.call('HLEN', key)
  local there = n > 0 and redis.call('HEXISTS', key, holder) == 1
  if not there and count >= n then count = drop_dead(key) end
  if not there and count >= n then return answer(0, count, 0) end
  redis.call('HSET', key, holder, ends_after(lasts) .. ' ' .. ARGV[1])
  if redis.call('PTTL', key) < lasts then redis.call('PEXPIRE', key, ARGV[i]) end
  return answer(there and 1 or 3, there and count or count + 1, 0)
end

-- holder
function kinds.r(i, _, at)
  local key, value = KEYS[at], redis.pcall('GET', KEYS[at])
  local mine = value == ARGV[1] .. ' ' .. ARGV[i]
  if mine then
    redis.call('UNLINK', key)
  elseif type(value) == 'table' then
    value = redis.call('HGET', key, ARGV[i])
    mine = value and value:match('^%d+ (.*)$') == ARGV[1]
    if mine then redis.call('HDEL', key, ARGV[i]) end
  end
  return answer(mine and 3 or 1, 0, 0)
end

-- ms to last
function kinds.c(i, scope)
  local lasts = tonumber(ARGV[i])
  if lasts == 0 then
    redis.call('UNLINK', scope.key, scope.ends_key)
    scope.left, scope.facts, scope.changed, scope.ends = -2, {}, {}, {}
  else
    if scope.left < 0 then redis.call('HSET', scope.key, 's', '') end
    redis.call('PEXPIRE', scope.key, digits(lasts))
    scope.left, scope.has_ends = lasts, true
  end
  return answer(1, 0, 0)
end

-- How many arguments of its own a kind has, and where the first one is the key of a fact.
local own, names_fact = {t = 6, g = 1, m = 4, a = 5, q = 3, r = 1, c = 1}, {t = true, g = true, m = true}
local plain, scope_of = {}, {}
for kind in pairs(own) do plain[kind], plain[kind:upper()] = kind, kind end
local i = 4
while i <= #ARGV do
  local kind = plain[ARGV[i]]
  if not kind then -- '.'
    i = i + 1
  else
    if kind ~= 'q' and kind ~= 'r' then
      local scope = scope_at(tonumber(ARGV[i + 1]))
      scope_of[i] = scope
      if names_fact[kind] then scope.wanted[#scope.wanted + 1] = 'f' .. ARGV[i + 2] end
    end
    i = i + 2 + own[kind]
  end
end
for _, scope in pairs(scopes) do read_all(scope) end

local stopped = false
i = 4
while i <= #ARGV do
  local kind = plain[ARGV[i]]
  if not kind then
    i, stopped = i + 1, false
  else
    if stopped then
      answer(-1, 0, 0)
    elseif not kinds[kind](i + 2, scope_of[i], tonumber(ARGV[i + 1])) then
      stopped = kind ~= ARGV[i]
    end
    i = i + 2 + own[kind]
  end
end

for _, scope in pairs(scopes) do
  write_all(scope)
  if scope.has_ends then sweep(scope) end
end
return out
