-- Whose turn it is in a lane, and what the head must wait for. Follows lane.lua, limits.lua and gates.lua.

local RESERVE_EVERY = 10

local function first_of(lane, band)
  local ticket = call('ZRANGE', tickets_of(lane, band), '0', '0', 'WITHSCORES')
  if not ticket[1] then return nil end
  local task = sub(ticket[1], 9, 16)
  return {
    band = band, ticket = ticket[1], time = tonumber(ticket[2]), task = task, share = sub(ticket[1], 17),
    entry = call('HGET', lane.at .. 'e', task),
  }
end

local function usual_turn(lane)
  for _, band in ipairs(lane.state.bands) do
    local turn = first_of(lane, band)
    if turn then return turn end
  end
  return nil
end

-- Now and then the one that has waited longest, if it stands in a lower band and has waited too long.
local function reserved_turn(lane)
  local usual, longest
  for _, band in ipairs(lane.state.bands) do
    local turn = first_of(lane, band)
    if turn then
      turn.queued_at = unpack_number('>I8', turn.entry, 17)
      if not usual then
        usual = turn
      elseif turn.queued_at <= now_at - lane.state.starve and (not longest or turn.queued_at < longest.queued_at) then
        longest = turn
      end
    end
  end
  return longest or usual
end

local function turn_of(lane)
  local state = lane.state
  if state.starve and state.claims % RESERVE_EVERY == RESERVE_EVERY - 1 then return reserved_turn(lane) end
  return usual_turn(lane)
end

-- How long until a head may go through a gate; nil = only an event helps.
local function gate_wait_us(lane, gate, amounts)
  local name = gate[1]
  if gate[3] >= 0 and lane.through[name] >= gate[3] then return nil end
  local way = way_of(lane, name)
  return max(
    limits_wait_us(lane, way.limits, suffix_of(name), way.paces, amounts),
    pause_wait_us(way.throttle),
    pause_wait_us(way.circuit)
  )
end

-- The nameless gate's limits are the lane's own.
local function nameless_wait_us(lane, amounts)
  local way, limits = lane.state.ways[''], lane.state.limits
  if not way then return limits_wait_us(lane, limits, '', nil, amounts) end
  return max(
    limits_wait_us(lane, limits, '', way.paces, amounts), pause_wait_us(way.throttle), pause_wait_us(way.circuit)
  )
end

-- The gate that a head goes through now; else nil and microseconds to wait, without any if only an event helps.
local function admitted(lane, amounts)
  local state = lane.state
  local best, load, least
  if not state.gates[1] then
    local wait = nameless_wait_us(lane, amounts)
    if wait > 0 then return nil, wait end
    return ''
  end
  if not lane.through then
    lane.through = {}
    for _, gate in ipairs(state.gates) do lane.through[gate[1]] = running_through(lane, gate[1]) end
  end
  for _, gate in ipairs(state.gates) do
    local wait = gate_wait_us(lane, gate, amounts)
    if wait and wait > 0 then
      least = least and min(least, wait) or wait
    elseif wait then
      local own = (lane.through[gate[1]] + 1) / gate[2]
      if not best or own < load then best, load = gate[1], own end
    end
  end
  if not best and not least then return nil end
  local wait = limits_wait_us(lane, state.limits, '', nil, amounts)
  if not best then return nil, max(least, wait) end
  if wait > 0 then return nil, wait end
  return best
end
