-- Forget a lane.
-- ARGV: 4 lane.

local lane = lane_of(ARGV[4])
for _, band in ipairs(lane.state.bands) do call('DEL', lane.at .. 'b' .. band[1], lane.at .. 'i' .. band[1]) end
for _, member in ipairs(call('ZRANGE', lane.at .. 'n', 0, -1)) do
  call('UNLINK', lane.at .. 'q' .. string.match(member, '/(.*)$'))
end
call('UNLINK', lane.at .. 's', lane.at .. 'e', lane.at .. 'n', lane.at .. 'h', lane.at .. 't', lane.at .. 'w')
call('SREM', P .. 'lanes', lane.id)
lane.state = fresh()
return answer(0)
