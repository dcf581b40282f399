-- Charge the limits with what the record says of the last minute, in place of whatever they knew.
-- ARGV: from 4 on, six by six: lane, '1' to forget first, when it started (wall ms), tokens, output, gate or '';
-- oldest first.

local function forget(lane, limits, suffix)
  for unit, limit in pairs(limits) do
    limit.idle, limit.newest, limit.total = 0, 0, 0
    call('DEL', window_of(lane, unit, suffix))
  end
end

for index = 4, #ARGV, 6 do
  local lane = lane_of(ARGV[index])
  local state, name = lane.state, ARGV[index + 5]
  if ARGV[index + 1] == '1' then
    forget(lane, state.limits, '')
    for one, way in pairs(state.ways) do
      if one ~= '' then forget(lane, way.limits, suffix_of(one)) end
    end
    lane.counted = {}
    lane.is_changed = true
  end
  local at_us = now_us - (now_at - tonumber(ARGV[index + 2])) * 1000
  local tokens, output = tonumber(ARGV[index + 3]), tonumber(ARGV[index + 4])
  local amounts = { 1, tokens, max(0, tokens - output), output }
  charge(lane, state.limits, '', nil, at_us, amounts)
  if name ~= '' then
    local way = way_of(lane, name)
    charge(lane, way.limits, suffix_of(name), nil, at_us, amounts)
    way.touched = at_us
  end
end
return answer(0)
