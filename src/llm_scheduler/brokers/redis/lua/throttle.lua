-- Nothing goes through a gate for so long; afterwards one probe at a time until one succeeds.
-- ARGV: 4 lane, 5 gate or '', 6 for how many us. Never shortens a longer pause.

local lane = lane_of(ARGV[4])
local way = way_of(lane, ARGV[5])
way.throttle = way.throttle or { on = true, open = 0, probe = false, trusted = 0 }
pause(way.throttle, tonumber(ARGV[6]))
way.touched = now_us
lane.is_changed = true
return answer(0)
