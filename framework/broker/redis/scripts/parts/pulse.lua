-- Notes that the server hears from workers. After a silence no worker is declared dead for a while: the server stood
-- still, restarted or was cut off, so the heartbeats of living workers have run out as well, and they get the time to
-- come back. The silence is shorter than the lease by more than the time between two beats. The time to come back is
-- as long as the longest pause before a reconnect, plus a beat.
local function pulse(key, judged)
  if redis.call('EXISTS', key) == 0 then redis.call('SET', judged, '', 'PX', 4000) end
  redis.call('SET', key, '', 'PX', 1700)
end
