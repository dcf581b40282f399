-- What stands between the head of a lane and its start.
-- ARGV: 4 lane. Answer: {1 = has rules, holds, {{gate, running, calls, failures, holds}, ...}}; a hold is reason and
-- how many ms it lasts, or -1 = only an event ends it.

local UNITS = { 'requests', 'tokens', 'input_tokens', 'output_tokens' }

local lane = lane_of(ARGV[4])
local state = lane.state
if not state.version then return answer({ 0, {}, {} }) end
local turn = turn_of(lane)
local amounts = turn and amounts_in(turn.entry, 29) or { 1, 0, 0, 0 }

local function hold(holds, reason, wait_us)
  if not wait_us or wait_us > 0 then holds[#holds + 1] = { reason, wait_us and ceil(wait_us / 1000) or -1 } end
end

local function hold_by_limits(holds, limits, suffix, paces)
  for unit = 1, 4 do
    if limits[unit] and limits[unit].per == 0 then hold(holds, UNITS[unit]) end
  end
  for unit = 1, 4 do
    local wait = unit_wait_us(lane, limits, suffix, paces, unit, amounts[unit])
    if wait then hold(holds, UNITS[unit], wait) end
  end
end

local function hold_by_pauses(holds, way)
  hold(holds, 'throttled', pause_wait_us(way.throttle))
  hold(holds, 'circuit', pause_wait_us(way.circuit))
end

local function counts_of(way)
  local past = past_of(way)
  return past[2] + past[4] + past[6], past[3] + past[5] + past[7]
end

local function running_nameless()
  local running = 0
  for _, slot in ipairs(call('HVALS', lane.at .. 'h')) do
    if not find(slot, '/', 40, true) then running = running + 1 end
  end
  return running
end

local holds, gates, nameless = {}, {}, way_of(lane, '')
if state.paused then hold(holds, 'paused') end
if running_of(lane) >= state.workers then hold(holds, 'concurrency') end
hold_by_limits(holds, state.limits, '', not state.gates[1] and nameless.paces or nil)
for index, gate in ipairs(state.gates) do
  local name, way, own = gate[1], way_of(lane, gate[1]), {}
  local running, calls, failures = running_through(lane, name), counts_of(way)
  if gate[5] == '1' then hold(own, 'drained') end
  if gate[4] >= 0 and running >= gate[4] then hold(own, 'concurrency') end
  hold_by_limits(own, way.limits, suffix_of(name), way.paces)
  hold_by_pauses(own, way)
  gates[index] = { name, running, calls, failures, own }
end
if not gates[1] then
  local own, calls, failures = {}, counts_of(nameless)
  hold_by_pauses(own, nameless)
  gates[1] = { '', running_nameless(), calls, failures, own }
end
return answer({ 1, holds, gates })
