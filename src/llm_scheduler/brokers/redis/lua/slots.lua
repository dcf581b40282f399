-- Slots are freed. Follows lane.lua.

local function free(lane, task, slot, is_success)
  local state, tenant = lane.state, sub(slot, 33)
  call('HDEL', lane.at .. 'h', task)
  call('ZREM', lane.at .. 't', tenant .. '/' .. task)
  lane.running = nil
  local limit = limit_of(tenant)
  if limit then
    local left = running_for(lane, tenant)
    change_load(lane, tenant, left + 1 >= limit, left >= limit)
  end
  if state.on and state.probe == task then
    state.probe = false
    state.on = not is_success
  end
  lane.is_news = true
end
