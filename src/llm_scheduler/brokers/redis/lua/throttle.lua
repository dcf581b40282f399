-- Nothing goes through a gate for so long; afterwards one probe at a time until one succeeds.
-- ARGV: 4 lane, 5 gate or '', 6 for how many us, or '' = a pause is over now. Never shortens a longer pause.

local lane = lane_of(ARGV[4])
local way = way_of(lane, ARGV[5])
local for_us = tonumber(ARGV[6])
if for_us then
  way.throttle = way.throttle or { on = true, open = 0, probe = false, trusted = 0 }
  pause(way.throttle, for_us)
  way.touched = now_us
  lane.is_changed = true
else
  if way.throttle then way.throttle.open = min(way.throttle.open, now_us) end
  lane.is_news = true
end
return answer(0)
