-- Slots are freed. Follows lane.lua and gates.lua.

-- Tenant and gate stand at the end of a slot.
local function holder_of(slot) return string.match(slot, '^(%-?%d+)/?(.*)$', 40) end

local function free(lane, task, slot, is_success, is_failure)
  local tenant, name = holder_of(slot)
  call('HDEL', lane.at .. 'h', task)
  call('ZREM', lane.at .. 't', tenant .. '/' .. task)
  lane.running = nil
  local limit = limit_of(tenant)
  if limit then
    local left = running_for(lane, tenant)
    change_load(lane, tenant, left + 1 >= limit, left >= limit)
  end
  gate_ended(lane, name, task, is_success, is_failure)
  lane.is_news = true
end
