-- Forget a lane.
-- ARGV: 4 lane.

local lane = lane_of(ARGV[4])
for _, band in ipairs(lane.state.bands) do call('DEL', lane.at .. 'b' .. band[1], lane.at .. 'i' .. band[1]) end
for _, member in ipairs(call('ZRANGE', lane.at .. 'n', 0, -1)) do
  call('UNLINK', lane.at .. 'q' .. string.match(member, '/(.*)$'))
end
for name in pairs(lane.state.ways) do
  local suffix = suffix_of(name)
  call('UNLINK', lane.at .. 'g' .. name)
  for unit = 2, 4 do call('UNLINK', window_of(lane, unit, suffix)) end
end
for unit = 2, 4 do call('UNLINK', window_of(lane, unit, '')) end
for _, key in ipairs({ 's', 'e', 'n', 'h', 't', 'c' }) do call('UNLINK', lane.at .. key) end
for _, field in ipairs(call('HKEYS', P .. 'tenants')) do
  if string.match(field, '/(.*)$') == lane.id then call('HDEL', P .. 'tenants', field) end
end
call('SREM', P .. 'lanes', lane.id)
lane.state = fresh()
return answer(0)
