-- Nothing of the lane starts for so long; afterwards one probe at a time until one succeeds.
-- ARGV: 4 lane, 5 for how many us. Never shortens a longer pause.

local lane = lane_of(ARGV[4])
local state = lane.state
state.open = max(state.open, now_us + tonumber(ARGV[5]))
state.on, state.probe = true, false
lane.is_changed = true
return answer(0)
