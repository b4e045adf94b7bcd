-- Makes the name of a stored message. The number grows, so that messages due in one millisecond come out in order.
-- The number goes back when the server does (restart from an older file, failover, a key deleted by hand). Therefore
-- the client draws a new mark for each command (bide_redis_link_mark): no name ever stands for two messages.
local function token_of(number, mark)
  return string.format('%016.0f.', number) .. mark
end
