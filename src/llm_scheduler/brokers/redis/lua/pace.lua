-- Replace the paces of some units of a gate.
-- ARGV: 4 lane, 5 gate or '', then seven by seven: unit, us for one unit, us of a full bucket, us given once, us it is
-- valid, the most units that may go at once now or '', how many had been spent when that was so.

local lane = lane_of(ARGV[4])
local way = way_of(lane, ARGV[5])
way.paces = way.paces or {}
for index = 6, #ARGV, 7 do
  local unit, each, burst = tonumber(ARGV[index]), tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])
  local level, before = burst, in_force(way.paces, unit, now_us)
  if before then
    local left = before.burst - max(0, before.idle - now_us)
    level = floor(left * (each / before.each))
  end
  level = max(-MOST_US, min(level + tonumber(ARGV[index + 3]), burst))
  local most = tonumber(ARGV[index + 5])
  if most then
    local most_us = (most - (way.spent[unit] - tonumber(ARGV[index + 6]))) * each
    level = min(level, floor(max(-MOST_US, min(most_us, MOST_US))))
  end
  way.paces[unit] = { each = each, burst = burst, idle = now_us + burst - level, ends = now_us + tonumber(ARGV[index + 4]) }
end
way.touched = now_us
lane.is_news = true
return answer(0)
