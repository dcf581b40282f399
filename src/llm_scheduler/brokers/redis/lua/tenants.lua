-- Other limits for tenants, in every lane at once.
-- ARGV: from 4 on by turns tenant and most slots of a lane, or '' for no limit.

local lanes = call('SMEMBERS', P .. 'lanes')
for index = 4, #ARGV, 2 do
  local tenant, before, limit = ARGV[index], limit_of(ARGV[index]), tonumber(ARGV[index + 1])
  if limit then
    call('HSET', P .. 'tenants', tenant, limit)
  else
    call('HDEL', P .. 'tenants', tenant)
  end
  if limit ~= before then
    for _, id in ipairs(lanes) do
      local lane = lane_of(id)
      local running = running_for(lane, tenant)
      change_load(lane, tenant, before ~= nil and running >= before, limit ~= nil and running >= limit)
      lane.is_news = true
    end
  end
end
return answer(0)
