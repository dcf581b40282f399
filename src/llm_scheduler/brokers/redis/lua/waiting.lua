-- Tasks come to wait, and are taken out. Follows lane.lua.

-- The caller has entered it in the lane's hash.
local function add(lane, task, entry)
  local member, share = sub(entry, 1, 8) .. task, share_in(entry)
  local queue = lane.at .. 'q' .. share
  call('ZADD', queue, '0', member)
  local band, tenant = band_of(lane, share), tenant_of(share)
  grow(lane, band, tenant, entry)
  lane.is_news = true
  local first = call('ZRANGE', queue, '0', '1')
  if first[1] ~= member then return end
  local following = first[2]
  if not following then
    call('ZADD', lane.at .. 'n', '0', tenant .. '/' .. share)
    if not is_full(lane, tenant) then join(lane, band, share, member) end
  elseif not is_full(lane, tenant) then
    move(lane, band, share, following, member)
  end
end

-- Add what neither waits nor holds a slot.
local function add_new(lane, task, entry)
  if call('HEXISTS', lane.at .. 'h', task) == 0 and call('HSETNX', lane.at .. 'e', task, entry) == 1 then
    add(lane, task, entry)
    return true
  end
  return false
end

local function take_out(lane, task)
  local entry = call('HGET', lane.at .. 'e', task)
  if not entry then return false end
  local member, share = sub(entry, 1, 8) .. task, share_in(entry)
  local queue, band, tenant = lane.at .. 'q' .. share, band_of(lane, share), tenant_of(share)
  local first = call('ZRANGE', queue, '0', '1')
  call('HDEL', lane.at .. 'e', task)
  call('ZREM', queue, member)
  if first[1] == member then
    local following = first[2]
    local is_active = not is_full(lane, tenant)
    if not following then call('ZREM', lane.at .. 'n', tenant .. '/' .. share) end
    if is_active and following then
      move(lane, band, share, member, following)
    elseif is_active then
      leave(lane, band, share, member)
    end
  end
  shrink(lane, band, tenant, cost_of(entry))
  lane.is_news = true
  return true
end
