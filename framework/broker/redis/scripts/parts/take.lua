-- is_mine: has this worker the message in hand? take: removes the message for good. Scripts store what is new between
-- the two calls: if the server refuses that (rights, a key of somebody else), nothing is lost.
local function is_mine(source)
  if source:find('-', 1, true) then
    return #redis.call('XPENDING', KEYS[1], 'bide', source, source, 1, ARGV[1]) > 0
  end
  return redis.call('ZSCORE', KEYS[7], source)
end
local function take(source)
  if source:find('-', 1, true) then
    redis.call('XACK', KEYS[1], 'bide', source)
    redis.call('XDEL', KEYS[1], source)
  else
    redis.call('ZREM', KEYS[7], source)
    redis.call('HDEL', KEYS[3], source)
  end
end
