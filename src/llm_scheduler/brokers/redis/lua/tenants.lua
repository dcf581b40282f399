-- Other limits for tenants, in every lane at once or in one.
-- ARGV: 4 '1' = these are all, others go; from 5 on by turns tenant, lane or '' for each, and most slots, or '' for no
-- limit.

local said, named = {}, {}
for index = 5, #ARGV, 3 do
  local tenant, only = ARGV[index], ARGV[index + 1]
  said[#said + 1] = { tenant, only, tonumber(ARGV[index + 2]) }
  named[only == '' and tenant or tenant .. '/' .. only] = true
end
if ARGV[4] == '1' then
  for _, field in ipairs(call('HKEYS', P .. 'tenants')) do
    local tenant, only = string.match(field, '^([^/]*)/?(.*)$')
    if not named[field] then said[#said + 1] = { tenant, only } end
  end
end
local lanes = call('SMEMBERS', P .. 'lanes')
for _, one in ipairs(said) do
  local tenant, only, limit = one[1], one[2], one[3]
  local field, concerned = tenant, lanes
  if only ~= '' then
    field, concerned = tenant .. '/' .. only, {}
    if call('SISMEMBER', P .. 'lanes', only) == 1 then concerned = { only } end
  end
  local before = {}
  for _, id in ipairs(concerned) do before[id] = limit_of(lane_of(id), tenant) or false end
  if limit then
    call('HSET', P .. 'tenants', field, limit)
  else
    call('HDEL', P .. 'tenants', field)
  end
  forget_limits()
  for _, id in ipairs(concerned) do
    local lane = lane_of(id)
    local was, now = before[id] or nil, limit_of(lane, tenant)
    if now ~= was then
      local running = running_for(lane, tenant)
      change_load(lane, tenant, was ~= nil and running >= was, now ~= nil and running >= now)
      lane.is_news = true
    end
  end
end
return answer(0)
