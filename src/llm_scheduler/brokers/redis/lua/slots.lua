-- Slots are freed. Follows lane.lua and gates.lua.

-- Tenant and gate stand at the end of a slot. The answer is the gate.
local function free(lane, task, slot, is_success, is_failure)
  local slash = find(slot, '/', 40, true)
  local tenant, name = sub(slot, 40, slash and slash - 1), slash and sub(slot, slash + 1) or ''
  call('HDEL', lane.at .. 'h', task)
  call('ZREM', lane.at .. 't', tenant .. '/' .. task)
  lane.running = nil
  local limit = limit_of(lane, tenant)
  if limit then
    local left = running_for(lane, tenant)
    change_load(lane, tenant, left + 1 >= limit, left >= limit)
  end
  gate_ended(lane, name, task, is_success, is_failure)
  lane.is_news = true
  return name
end
