-- Limits that pass with time: pace and token window. Follows lane.lua.

local SLICE_US, SLICES = 100000, 606

-- How long so many units occupy a limit per minute of which 98 % are handed out: 3e9 * units / (49 * limit) us,
-- rounded up; divided in steps, so that nothing exceeds 2^53.
local function pace_us(units, per_minute)
  local divisor = 49 * per_minute
  local whole = floor(units / divisor)
  local high = (units - whole * divisor) * 100000
  local middle = floor(high / divisor)
  return whole * 3000000000 + middle * 30000 + ceil((high - middle * divisor) * 30000 / divisor)
end

-- Starts of one slice are written at once, at the latest by `answer`.
local function write_count(lane)
  if lane.counted then call('HINCRBY', lane.at .. 'w', lane.state.newest, lane.counted) end
  lane.counted = nil
end

local function advance(lane, at_us)
  local state, slices = lane.state, lane.at .. 'w'
  local newest = floor(at_us / SLICE_US)
  local passed = newest - state.newest
  if passed <= 0 then return end
  write_count(lane)
  if passed >= SLICES then
    call('DEL', slices)
    state.total = 0
  else
    local stale = {}
    for slice = state.newest + 1 - SLICES, newest - SLICES do stale[#stale + 1] = slice end
    local any = false
    for _, tokens in ipairs(call('HMGET', slices, unpack(stale))) do
      if tokens then
        state.total = state.total - tokens
        any = true
      end
    end
    if any then call('HDEL', slices, unpack(stale)) end
  end
  state.newest = newest
  lane.is_changed = true
end

local function window_wait_us(lane, tokens)
  advance(lane, now_us)
  local state = lane.state
  local left = state.total
  if left == 0 or left + tokens <= state.tpm then return 0 end
  write_count(lane)
  local slices = {}
  local flat = call('HGETALL', lane.at .. 'w')
  for index = 1, #flat, 2 do slices[tonumber(flat[index])] = tonumber(flat[index + 1]) end
  for slice = state.newest - SLICES + 1, state.newest do
    left = left - (slices[slice] or 0)
    if left == 0 or left + tokens <= state.tpm then return (slice + SLICES) * SLICE_US - now_us end
  end
  return SLICES * SLICE_US
end

local function count(lane, at_us, tokens)
  advance(lane, at_us)
  local state = lane.state
  lane.counted = (lane.counted or 0) + tokens
  state.total = state.total + tokens
  return state.newest
end

-- A call starts; the slice that it was counted in, if any.
local function charge(lane, at_us, tokens)
  local state = lane.state
  lane.is_changed = true
  if state.rpm then state.requests = max(at_us, state.requests) + pace_us(1, state.rpm) end
  if not state.tpm then return nil end
  state.tokens = max(at_us, state.tokens) + pace_us(tokens, state.tpm)
  return count(lane, at_us, tokens)
end

-- A call that reserved so many tokens used so many. One that was never counted counts from now on.
local function settle(lane, slice, reserved, used)
  local state = lane.state
  if not state.tpm then return end
  lane.is_changed = true
  if not slice then
    state.tokens = max(now_us, state.tokens) + pace_us(used, state.tpm)
    count(lane, now_us, used)
    return
  end
  state.tokens = state.tokens + pace_us(used, state.tpm) - pace_us(reserved, state.tpm)
  advance(lane, now_us)
  if slice > state.newest - SLICES then
    call('HINCRBY', lane.at .. 'w', slice, used - reserved)
    state.total = state.total + used - reserved
  end
end
