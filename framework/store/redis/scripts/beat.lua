-- Keeps a session alive, or ends it in order.
--
-- KEYS: session, pulse, judged. ARGV: ms that it lives; 0: it has ended, which others see for an hour.
-- parts: pulse
if ARGV[1] == '0' then
  redis.call('SET', KEYS[1], 'gone', 'PX', 3600000)
else
  pulse(KEYS[2], KEYS[3])
  redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
end
return 1
