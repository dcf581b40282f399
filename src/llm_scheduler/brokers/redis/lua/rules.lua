-- Replace the rules of lanes. Rules older than those in force are ignored.
-- ARGV: from 4 on for each lane: lane, most slots (0 when it is closed), the same as it was said, '1' = paused, per
-- minute or '' of the four units, '1' = by virtual time, starve after ms or '', '1' = sum up what waits, version, how
-- many gates, and for each of these: name, weight, most slots or -1, the same as it was said, '1' = drained, four limits.

local place = 3

local function word()
  place = place + 1
  return ARGV[place]
end

local function number() return tonumber(word()) or false end

-- Four limits follow; what was spent stays spent.
local function change_limits(limits)
  local is_limited = false
  for unit = 1, 4 do
    local per = number()
    if per and not limits[unit] then limits[unit] = { per = per, idle = 0, newest = 0, total = 0 } end
    if limits[unit] then limits[unit].per = per end
    is_limited = is_limited or per ~= false
  end
  return is_limited
end

-- The shares of a lane take turns by another rule: virtual times start anew.
local function change_turns(lane, is_fair)
  lane.state.fair = is_fair
  for _, band in ipairs(lane.state.bands) do
    local tickets = lane.at .. 'b' .. band[1]
    band[3] = 0
    call('ZUNIONSTORE', tickets, 1, tickets, 'WEIGHTS', 0)
    call('DEL', lane.at .. 'i' .. band[1])
  end
end

-- From now on what waits is summed up by tenant, or is not any more.
local function change_sums(lane, keeps)
  lane.state.sums = keeps
  call('DEL', lane.at .. 'c')
  if not keeps then return end
  local cursor, tasks, costs = '0', {}, {}
  repeat
    local page = call('HSCAN', lane.at .. 'e', cursor, 'COUNT', 1000)
    cursor = page[1]
    for index = 2, #page[2], 2 do
      local entry = page[2][index]
      local tenant = tenant_of((share_in(entry)))
      tasks[tenant] = (tasks[tenant] or 0) + 1
      costs[tenant] = (costs[tenant] or 0) + cost_of(entry)
    end
  until cursor == '0'
  for tenant, count in pairs(tasks) do
    call('HSET', lane.at .. 'c', 'n' .. tenant, count, 'c' .. tenant, string.format('%.0f', costs[tenant]))
  end
end

-- Gates that are in no rules are remembered while calls of theirs run, and as long as what was spent matters.
local function forget_gates(lane, in_force)
  for name, way in pairs(lane.state.ways) do
    local is_known = name == '' or in_force[name] or now_us - way.touched <= KEPT_US
    if not is_known and running_through(lane, name) == 0 then
      for unit in pairs(way.limits) do call('DEL', window_of(lane, unit, suffix_of(name))) end
      lane.state.ways[name] = nil
    end
  end
end

local function change_gates(lane)
  local in_force, gates = {}, {}
  for index = 1, number() do
    local name = word()
    local gate = { name, number(), number(), number(), word() }
    change_limits(way_of(lane, name).limits)
    gates[index], in_force[name] = gate, true
  end
  lane.state.gates = gates
  forget_gates(lane, in_force)
end

local function skip_gates()
  local gates = number()
  place = place + 9 * gates
end

while place < #ARGV do
  local lane = lane_of(word())
  local state, from = lane.state, place
  place = from + 10
  local version = number()
  if state.version and version < state.version then
    skip_gates()
  else
    place = from
    state.max, state.workers, state.paused = number(), number(), word() == '1'
    state.limited = change_limits(state.limits)
    local is_fair = word() == '1'
    if is_fair ~= state.fair then change_turns(lane, is_fair) end
    state.starve = number()
    local keeps = word() == '1'
    if keeps ~= state.sums then change_sums(lane, keeps) end
    state.version = number()
    change_gates(lane)
  end
  lane.is_news = true
end
return answer(0)
