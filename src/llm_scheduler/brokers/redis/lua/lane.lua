-- Follows shard.lua in every script that looks into lanes.
--
-- ARGV: 1 who asks (for wake-ups), 2 wall ms, 3 monotonic us ('' = the server's time), then what each script says.
-- A lost shard is filled as if nothing was wrong; only claims look at its epoch.

local unpack_number, pack_number = struct.unpack, struct.pack
local floor, ceil, max, min, sub, find = math.floor, math.ceil, math.max, math.min, string.sub, string.find

local IDLE_ALLOWED = 64

local now_at, now_us = tonumber(ARGV[2]), tonumber(ARGV[3])
if not now_us then
  local time = call('TIME')
  now_us = time[1] * 1000000 + time[2]
  now_at = floor(now_us / 1000)
end

local known, touched = {}, {}

local function fresh()
  return {
    max = 0, workers = 0, paused = false, fair = true, starve = false, sums = false, version = false, -- rules; false = none
    claims = 0, turn = 0, -- how many so far; when served last
    limited = false, limits = {}, -- unit -> {per minute or false, idle, newest, total}, see limits.lua
    gates = {}, -- of the rules, in order: {name, weight, most that run or -1, the same as it was said, '1' = drained}
    ways = {}, -- what is known of gates by name, see gates.lua
    bands = {}, -- {number, size, virtual time, cost in millionths}, first band first
  }
end

local function lane_of(id)
  local lane = known[id]
  if not lane then
    local packed = call('GET', P .. id .. ':s')
    lane = {
      id = id, at = P .. id .. ':', is_new = not packed, tickets = {}, counted = {},
      state = packed and cmsgpack.unpack(packed) or fresh(),
    }
    known[id] = lane
    touched[#touched + 1] = lane
  end
  return lane
end

local function running_of(lane)
  if not lane.running then lane.running = call('HLEN', lane.at .. 'h') end
  return lane.running
end

local function waiting_of(lane)
  local waiting = 0
  for _, band in ipairs(lane.state.bands) do waiting = waiting + band[2] end
  return waiting
end

-- Write back what was changed, wake others if a claim may succeed now, tell what waits.
local function answer(result)
  local wakes, is_news = false, 0
  local waiting = {}
  for _, lane in ipairs(touched) do
    local state = lane.state
    for key, one in pairs(lane.counted) do call('HINCRBY', key, one[1], one[2]) end
    if lane.is_changed or lane.is_news then
      if lane.is_new then call('SADD', P .. 'lanes', lane.id) end
      call('SET', lane.at .. 's', cmsgpack.pack(state))
    end
    local count = waiting_of(lane)
    waiting[#waiting + 1], waiting[#waiting + 2] = lane.id, count
    if lane.is_news then
      is_news = 1
      wakes = wakes or (count > 0 and running_of(lane) < state.max)
    end
  end
  if wakes then call('PUBLISH', CHANNEL, ARGV[1]) end
  return { is_news, waiting, result }
end

-- Tenants

local limits = {}
local has_limits

-- The lower of what the tenant may hold in each lane and what in this one.
local function limit_of(lane, tenant)
  if has_limits == nil then has_limits = call('EXISTS', P .. 'tenants') == 1 end
  if not has_limits then return nil end
  local name = tenant .. '/' .. lane.id
  if limits[name] == nil then
    local said = call('HMGET', P .. 'tenants', tenant, name)
    local wide, own = tonumber(said[1]), tonumber(said[2])
    limits[name] = wide and own and min(wide, own) or wide or own or false
  end
  return limits[name] or nil
end

-- Limits were changed: what was read of them is old.
local function forget_limits() limits, has_limits = {}, nil end

-- Members that begin with the tenant: '0' comes after '/'.
local function range_of(tenant) return '[' .. tenant .. '/', '(' .. tenant .. '0' end

local function running_for(lane, tenant) return call('ZLEXCOUNT', lane.at .. 't', range_of(tenant)) end

local function is_full(lane, tenant)
  local limit = limit_of(lane, tenant)
  return limit ~= nil and running_for(lane, tenant) >= limit
end

local function tenant_of(share) return string.match(share, '^%-?%d+:(%-?%d+)') end

-- Bands and shares

-- The share in an entry, and where it ends if a weight follows.
local function share_in(entry)
  local stop = find(entry, ';', 37, true)
  return sub(entry, 37, stop and stop - 1), stop
end

local function band_of(lane, share)
  local number = tonumber(string.match(share, '^%-?%d+'))
  local bands = lane.state.bands
  local place = #bands + 1
  for index, band in ipairs(bands) do
    if band[1] == number then return band end
    if band[1] > number then
      place = index
      break
    end
  end
  local band = { number, 0, 0, 0 }
  table.insert(bands, place, band)
  return band
end

-- In arguments that are made often numbers stand as text: Redis would print them with 17 digits each time.
local function head_of(lane, share) return call('ZRANGE', lane.at .. 'q' .. share, '0', '0')[1] end

-- The key of a band's tickets.
local function tickets_of(lane, band)
  local key = lane.tickets[band]
  if not key then
    key = lane.at .. 'b' .. band[1]
    lane.tickets[band] = key
  end
  return key
end

-- The share takes turns from now on, no earlier than its band's time: idle time is no credit.
local function join(lane, band, share, head)
  local time = 0
  if lane.state.fair then
    local idle = lane.at .. 'i' .. band[1]
    time = band[3]
    local own = call('ZSCORE', idle, share)
    if own then
      time = max(time, tonumber(own))
      call('ZREM', idle, share)
    end
  end
  call('ZADD', tickets_of(lane, band), time, head .. share)
end

-- Remember the time of an inactive share; one that is not ahead of its band would start at the band's anyway.
local function remember_time(lane, band, share, time)
  if not lane.state.fair or time <= band[3] then return end
  local idle = lane.at .. 'i' .. band[1]
  call('ZADD', idle, time, share)
  if call('ZCARD', idle) > IDLE_ALLOWED then call('ZREMRANGEBYSCORE', idle, '-inf', band[3]) end
end

-- The share takes no turns any more.
local function leave(lane, band, share, head)
  local tickets = tickets_of(lane, band)
  local time = tonumber(call('ZSCORE', tickets, head .. share))
  call('ZREM', tickets, head .. share)
  remember_time(lane, band, share, time)
end

-- An active share has another head.
local function move(lane, band, share, from, to)
  local tickets = tickets_of(lane, band)
  local time = call('ZSCORE', tickets, from .. share)
  call('ZREM', tickets, from .. share)
  call('ZADD', tickets, time, to .. share)
end

-- The tenant has another number of slots, or another limit: its shares may come or go.
local function change_load(lane, tenant, was_full, now_full)
  if was_full == now_full then return end
  for _, member in ipairs(call('ZRANGEBYLEX', lane.at .. 'n', range_of(tenant))) do
    local share = sub(member, #tenant + 2)
    local change = now_full and leave or join
    change(lane, band_of(lane, share), share, head_of(lane, share))
  end
end

local function slot_added(lane, tenant, task)
  call('ZADD', lane.at .. 't', '0', tenant .. '/' .. task)
  lane.running = running_of(lane) + 1
  local limit = limit_of(lane, tenant)
  if limit then
    local count = running_for(lane, tenant)
    change_load(lane, tenant, count - 1 >= limit, count >= limit)
  end
end

-- Costs are summed in millionths: whole numbers come to the same sum in any order.
local function millionths(cost) return floor(cost * 1000000 + 0.5) end

local function cost_of(entry) return millionths((unpack_number('>d', entry, 9))) end

-- What a tenant has waiting, where the rules ask for it.
local function sum_up(lane, tenant, tasks, cost)
  local sums = lane.at .. 'c'
  call('HINCRBY', sums, 'c' .. tenant, cost)
  if call('HINCRBY', sums, 'n' .. tenant, tasks) == 0 then call('HDEL', sums, 'c' .. tenant, 'n' .. tenant) end
end

local function grow(lane, band, tenant, entry)
  local cost = cost_of(entry)
  band[2], band[4] = band[2] + 1, band[4] + cost
  if lane.state.sums then sum_up(lane, tenant, 1, cost) end
end

-- A task of the band is gone: so is an empty band, and with it all that it remembers.
local function shrink(lane, band, tenant, cost)
  band[2], band[4] = band[2] - 1, band[4] - cost
  if lane.state.sums then sum_up(lane, tenant, -1, 0 - cost) end
  if band[2] > 0 then return end
  call('DEL', lane.at .. 'b' .. band[1], lane.at .. 'i' .. band[1])
  for index, one in ipairs(lane.state.bands) do
    if one == band then table.remove(lane.state.bands, index) end
  end
end
