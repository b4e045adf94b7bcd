-- Sends one message. i: where its three arguments begin (name of its queue, due or '' for now, message). at: where
-- its queue's five keys begin. The key of `seq` is the 8th. Needs wake, token and hold.
local function send(queues, channel, mark, at, i)
  redis.call('SADD', queues, ARGV[i])
  if ARGV[i + 1] == '' then
    redis.call('XADD', KEYS[at], '*', 'm', ARGV[i + 2])
    wake(KEYS[at + 3], channel, ARGV[i], 1)
  else
    hold(at, KEYS[8], mark, channel, ARGV[i], {ARGV[i + 1], ARGV[i + 2]})
  end
end
