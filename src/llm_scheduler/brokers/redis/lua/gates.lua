-- The ways through a lane: pauses, circuits, what was spent. Follows lane.lua.
--
-- Of each gate, by name ('' = the nameless one of a lane whose rules name none):
-- {spent = in each unit, touched = when anything last happened that must be remembered for a while,
--  limits (of a gate that has a name; the nameless one's are the lane's), paces,
--  throttle = {on, open, probe, trusted} while it is paused or half open,
--  circuit = the same and how long the next pause is, while that is not the first,
--  past = {ten seconds, calls, failures, the same of the ten seconds before, and before those}}

local TRUSTED_US = 10000000
local BUCKET_US, FEWEST_CALLS, FIRST_PAUSE_US, LONGEST_PAUSE_US = 10000000, 10, 15000000, 300000000

local function way_of(lane, name)
  local way = lane.state.ways[name]
  if not way then
    way = { spent = { 0, 0, 0, 0 }, touched = 0, limits = name ~= '' and {} or nil }
    lane.state.ways[name] = way
  end
  return way
end

-- What a call counts in each unit; these stand in an entry from 29 on and in a slot from 13 on.
local function amounts_in(data, from)
  local tokens, output = unpack_number('>I4I4', data, from)
  return { 1, tokens, max(0, tokens - output), output }
end

local function suffix_of(name) return name == '' and '' or '/' .. name end

-- How many calls run through a gate that has a name.
local function running_through(lane, name) return call('SCARD', lane.at .. 'g' .. name) end

local function pause_wait_us(pause)
  if not pause or not pause.on then return 0 end
  return (pause.probe and max(pause.open, pause.trusted) or pause.open) - now_us
end

local function pause(one, for_us)
  one.on, one.open, one.probe = true, max(one.open, now_us + for_us), false
end

local function pause_started(one, task)
  if not one.probe then
    one.probe, one.trusted = task, now_us + TRUSTED_US
  else -- the probe has been out for long enough
    one.on, one.probe = false, false
  end
end

local function spend(way, amounts)
  local spent = way.spent
  spent[1], spent[2] = spent[1] + amounts[1], spent[2] + amounts[2]
  spent[3], spent[4] = spent[3] + amounts[3], spent[4] + amounts[4]
end

-- A call goes through a gate. (Of the nameless one nobody asks when it was touched: it is never forgotten.)
local function through(lane, name, task, amounts)
  local way = way_of(lane, name)
  spend(way, amounts)
  way.touched = now_us
  if way.throttle then
    pause_started(way.throttle, task)
    if not way.throttle.on then way.throttle = nil end
  end
  if way.circuit and way.circuit.on then
    pause_started(way.circuit, task)
    if not way.circuit.on then way.past = nil end
  end
  return way
end

-- The counts of the last 30 s, moved on to now.
local function past_of(way)
  local ten, past = floor(now_us / BUCKET_US), way.past
  local passed = past and ten - past[1] or 3
  if passed <= 0 then return past end
  if passed == 1 then
    past = { ten, 0, 0, past[2], past[3], past[4], past[5] }
  elseif passed == 2 then
    past = { ten, 0, 0, 0, 0, past[2], past[3] }
  else
    past = { ten, 0, 0, 0, 0, 0, 0 }
  end
  way.past = past
  return past
end

local function has_failed(past)
  local calls = past[2] + past[4] + past[6]
  return calls >= FEWEST_CALLS and (past[3] + past[5] + past[7]) * 2 >= calls
end

local function circuit_ended(way, task, is_success, is_failure)
  local circuit = way.circuit
  local was_on, is_probe = circuit and circuit.on, circuit and circuit.probe == task
  if is_probe then circuit.on, circuit.probe = not is_success, false end
  if not is_success and not is_failure then return end
  local past = past_of(way)
  past[2] = past[2] + 1
  if is_failure then past[3] = past[3] + 1 end
  if is_success and (is_probe or not was_on) then
    way.circuit = nil
    if is_probe then way.past = nil end
  elseif is_failure and (is_probe or not was_on and has_failed(past)) then
    circuit = circuit or { on = false, open = 0, probe = false, trusted = 0, following = FIRST_PAUSE_US }
    way.circuit = circuit
    pause(circuit, circuit.following)
    circuit.following = min(2 * circuit.following, LONGEST_PAUSE_US)
  end
end

-- A slot was freed.
local function gate_ended(lane, name, task, is_success, is_failure)
  local way = way_of(lane, name)
  if name ~= '' then call('SREM', lane.at .. 'g' .. name, task) end
  local throttle = way.throttle
  if throttle and throttle.probe == task then
    throttle.probe = false
    if is_success then way.throttle = nil end
  end
  circuit_ended(way, task, is_success, is_failure)
end
