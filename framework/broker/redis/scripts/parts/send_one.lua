-- Sends one message. i: where its three arguments begin (name of its queue or topic, due or '' for now, message). at: where
-- its queue's five keys begin. The key of `seq` is the 8th. Needs wake, token, hold and topic.
local function send(queues, channel, mark, at, i)
  local now, due, text = ARGV[i + 1] == '', ARGV[i + 1], ARGV[i + 2]
  if is_topic(ARGV[i]) then
    send_to_topic(KEYS[at], ARGV[i], KEYS[8], queues, channel, mark, now and {text} or {}, now and {} or {due, text})
    return
  end
  redis.call('SADD', queues, ARGV[i])
  if now then
    redis.call('XADD', KEYS[at], '*', 'm', text)
    wake(KEYS[at + 3], channel, ARGV[i], 1)
  else
    hold(at, KEYS[8], mark, channel, ARGV[i], {due, text})
  end
end
