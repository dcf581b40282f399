-- Limits that pass with time: per minute by pace and token window, and paces that a provider's answers told.
-- Follows lane.lua.
--
-- Units are numbered: 1 requests, 2 tokens, 3 those that go in, 4 those that come out. Of each a lane (and a gate) may
-- have a limit {per = per minute or false, idle = when its pace is idle again in us, newest, total = of its window}
-- and a gate a pace {each = us for one unit, burst = us, idle, ends}. The windows of a lane stand under <lane>:w<unit>,
-- those of a gate under <lane>:w<unit>/<gate>: `suffix` is '' or '/' and the gate.

local SLICE_US, SLICES, TOLERANCE_US, MINUTE_US = 100000, 606, 600000, 60000000
local KEPT_US = SLICE_US * SLICES
local MOST_US = 10000000000000
local BIT = { 1, 2, 4, 8 }

-- How long so many units occupy a limit per minute of which 98 % are handed out: 3e9 * units / (49 * limit) us,
-- rounded up; divided in steps, so that nothing exceeds 2^53.
local function pace_us(units, per_minute)
  local divisor = 49 * per_minute
  local whole = floor(units / divisor)
  local high = (units - whole * divisor) * 100000
  local middle = floor(high / divisor)
  return whole * 3000000000 + middle * 30000 + ceil((high - middle * divisor) * 30000 / divisor)
end

local function cost_us(pace, units) return min(ceil(units * pace.each), MOST_US) end

local function window_of(lane, unit, suffix) return lane.at .. 'w' .. unit .. suffix end

-- Starts of one slice are written at once, at the latest by `answer`.
local function write_count(lane, window)
  local counted = lane.counted[window]
  if counted then call('HINCRBY', window, counted[1], counted[2]) end
  lane.counted[window] = nil
end

local function advance(lane, limit, window, at_us)
  local newest = floor(at_us / SLICE_US)
  local passed = newest - limit.newest
  if passed <= 0 then return end
  write_count(lane, window)
  if passed >= SLICES then
    call('DEL', window)
    limit.total = 0
  else
    local stale = {}
    for slice = limit.newest + 1 - SLICES, newest - SLICES do stale[#stale + 1] = slice end
    local any = false
    for _, units in ipairs(call('HMGET', window, unpack(stale))) do
      if units then
        limit.total = limit.total - units
        any = true
      end
    end
    if any then call('HDEL', window, unpack(stale)) end
  end
  limit.newest = newest
  lane.is_changed = true
end

local function window_wait_us(lane, limit, window, units)
  advance(lane, limit, window, now_us)
  local left = limit.total
  if left == 0 or left + units <= limit.per then return 0 end
  write_count(lane, window)
  local slices = {}
  local flat = call('HGETALL', window)
  for index = 1, #flat, 2 do slices[tonumber(flat[index])] = tonumber(flat[index + 1]) end
  for slice = limit.newest - SLICES + 1, limit.newest do
    left = left - (slices[slice] or 0)
    if left == 0 or left + units <= limit.per then return (slice + SLICES) * SLICE_US - now_us end
  end
  return SLICES * SLICE_US
end

local function count(lane, limit, window, at_us, units)
  advance(lane, limit, window, at_us)
  local counted = lane.counted[window]
  if counted then
    counted[2] = counted[2] + units
  else
    lane.counted[window] = { limit.newest, units }
  end
  limit.total = limit.total + units
end

local function in_force(paces, unit, at_us)
  local pace = paces and paces[unit]
  return pace and at_us < pace.ends and pace or nil
end

-- How long until a call of these amounts may start by one unit's limit or pace; nil = there is none.
local function unit_wait_us(lane, limits, suffix, paces, unit, units)
  local pace, limit = in_force(paces, unit, now_us), limits[unit]
  if pace then return pace.idle - max(0, pace.burst - cost_us(pace, units)) - now_us end
  if not limit or not limit.per or limit.per == 0 then return nil end
  local wait = limit.idle - TOLERANCE_US - now_us
  if unit == 1 then return wait end
  return max(wait, window_wait_us(lane, limit, window_of(lane, unit, suffix), units))
end

local function limits_wait_us(lane, limits, suffix, paces, amounts)
  local wait = 0
  for unit = 1, 4 do
    local one = unit_wait_us(lane, limits, suffix, paces, unit, amounts[unit])
    if one and one > wait then wait = one end
  end
  return wait
end

-- While another pace is in force nobody keeps to the limit's own; its debt is bounded by a minute then.
local function charge_limit(lane, limit, window, unit, at_us, units, is_paced)
  if limit.per > 0 then
    limit.idle = max(at_us, limit.idle) + pace_us(units, limit.per)
    if is_paced then limit.idle = min(limit.idle, at_us + MINUTE_US) end
  end
  if unit > 1 then count(lane, limit, window, at_us, units) end
end

-- A call starts. Where it was counted: bits of units of limits, and of paces.
local function charge(lane, limits, suffix, paces, at_us, amounts)
  local counted, paced = 0, 0
  lane.is_changed = true
  for unit = 1, 4 do
    local pace, limit = in_force(paces, unit, at_us), limits[unit]
    if pace then
      pace.idle = max(at_us, pace.idle) + cost_us(pace, amounts[unit])
      paced = paced + BIT[unit]
    end
    if limit and limit.per then
      charge_limit(lane, limit, window_of(lane, unit, suffix), unit, at_us, amounts[unit], pace ~= nil)
      counted = counted + BIT[unit]
    end
  end
  return counted, paced
end

local function has(bits, unit) return floor(bits / BIT[unit]) % 2 == 1 end

-- A call that reserved these amounts used those. Where it was never counted, its use counts from now on.
local function settle(lane, limits, suffix, paces, slice, counted, paced, reserved, used)
  lane.is_changed = true
  for unit = 2, 4 do
    local pace, limit = in_force(paces, unit, now_us), limits[unit]
    if pace and has(paced, unit) then
      pace.idle = pace.idle + cost_us(pace, used[unit]) - cost_us(pace, reserved[unit])
    elseif pace then
      pace.idle = max(now_us, pace.idle) + cost_us(pace, used[unit])
    end
    if limit and limit.per then
      local window = window_of(lane, unit, suffix)
      if not has(counted, unit) then
        charge_limit(lane, limit, window, unit, now_us, used[unit], pace ~= nil)
      else
        if limit.per > 0 then limit.idle = limit.idle + pace_us(used[unit], limit.per) - pace_us(reserved[unit], limit.per) end
        advance(lane, limit, window, now_us)
        if slice > limit.newest - SLICES then
          call('HINCRBY', window, slice, used[unit] - reserved[unit])
          limit.total = limit.total + used[unit] - reserved[unit]
        end
      end
    end
  end
end
