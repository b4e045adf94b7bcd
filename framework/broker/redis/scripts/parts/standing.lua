-- Where a message of a queue is: 1 it waits, 2 a worker has it in hand, 0 it is gone.
local function standing(source)
  if source:find('-', 1, true) then
    if #redis.call('XRANGE', KEYS[1], source, source) == 0 then return 0 end
    local pending = redis.pcall('XPENDING', KEYS[1], 'bide', source, source, 1)
    if pending.err or #pending == 0 or pending[1][2] == 'returned' then return 1 end
    return 2
  end
  if redis.call('ZSCORE', KEYS[2], source) then return 1 end
  return redis.call('HEXISTS', KEYS[3], source) == 1 and 2 or 0
end
local function remove_entry(source)
  redis.pcall('XACK', KEYS[1], 'bide', source)
  redis.call('XDEL', KEYS[1], source)
end
