-- Wakes up to n of the workers that wait, and returns how many it woke. A worker that no longer listens is dropped
-- from the set.
local function wake(waiting, channel, queue, n)
  local woken = 0
  while woken < n do
    local worker = redis.call('SPOP', waiting)
    if not worker then return woken end
    if redis.call('PUBLISH', channel .. worker, queue) > 0 then woken = woken + 1 end
  end
  return woken
end
