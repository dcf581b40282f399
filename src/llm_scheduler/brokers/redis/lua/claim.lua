-- Give slots to the next tasks, one by one from the lane served least recently.
-- ARGV: 4 session(8), 5 want, then lanes. Answer: {wait ms or -1, then for each
-- task(8) attempt(4) tokens(4) output(4) spent(4 x 8) lane '/' tenant, and '/' gate if it has a name}

if call('EXISTS', KEYS[1]) == 0 then return answer({ 100 }) end -- lost: nothing until it is rebuilt; ask again then
local AT_ONCE = 1000

local session, want = ARGV[4], tonumber(ARGV[5])

-- What a share has had in a band counts in the later bands too, as far as it takes turns there.
local function charge_later(lane, band, share, cost)
  local name, bands = sub(share, (find(share, ':', 1, true))), lane.state.bands
  for index = #bands, 1, -1 do
    local later = bands[index]
    if later == band then return end
    local same = later[1] .. name
    local head = head_of(lane, same)
    if head then call('ZINCRBY', tickets_of(lane, later), cost, head .. same) end
  end
end

-- Take the head out of its share and place the share anew.
local function pop(lane, turn, tenant)
  local band, share = turn.band, turn.share
  local tickets = tickets_of(lane, band)
  call('ZREM', lane.at .. 'q' .. share, sub(turn.ticket, 1, 16))
  call('ZREM', tickets, turn.ticket)
  local following = head_of(lane, share)
  if not following then call('ZREM', lane.at .. 'n', tenant .. '/' .. share) end
  local time, cost = turn.time, unpack_number('>d', turn.entry, 9)
  if lane.state.fair then
    band[3] = time
    local stop = find(turn.entry, ';', 37, true) -- a weight follows
    local had = stop and cost / tonumber(sub(turn.entry, stop + 1)) or cost
    time = time + had
    charge_later(lane, band, share, had) -- its tenant is not full now, so they all take turns
  end
  if following then call('ZADD', tickets, time, following .. share) end
  if limit_of(lane, tenant) then
    slot_added(lane, tenant, turn.task)
  else
    lane.running = lane.running + 1
    lane.loads[#lane.loads + 1] = '0'
    lane.loads[#lane.loads + 1] = tenant .. '/' .. turn.task
  end
  if not following then remember_time(lane, band, share, time) end
  shrink(lane, band, tenant, millionths(cost))
end

local START = pack_number('>I8I8', now_at, floor(now_us / SLICE_US) + 1)
local NOWHERE = '\0\0\0'

-- Through a gate that has a name, or limits: charged at once. Gives what a settlement needs to know of it: the bits of
-- where it was counted.
local function charged(lane, name, way, amounts)
  local state, counted, own, paced = lane.state, 0, 0, 0
  if name == '' then
    counted, paced = charge(lane, state.limits, '', way.paces, now_us, amounts)
  else
    counted = charge(lane, state.limits, '', nil, now_us, amounts)
    own, paced = charge(lane, way.limits, suffix_of(name), way.paces, now_us, amounts)
  end
  return pack_number('>BBB', counted, own, paced)
end

-- Nothing to ask and nothing to charge: a lane without gates, limits, paces and pauses.
local function is_plain(state)
  local way = state.ways['']
  return not state.limited and not state.gates[1] and not (way and (way.paces or way.throttle or way.circuit))
end

local function claim(lane)
  local state = lane.state
  if not state.version or running_of(lane) >= state.max then return nil end
  local turn = turn_of(lane)
  if not turn then return nil end
  local entry, tenant, bits, name, wait = turn.entry, tenant_of(turn.share), NOWHERE, ''
  local tail, way, amounts = tenant, nil, amounts_in(entry, 29)
  if is_plain(state) then
    way = way_of(lane, '')
    pop(lane, turn, tenant)
    spend(way, amounts)
  else
    name, wait = admitted(lane, amounts)
    if not name then return nil, wait end
    pop(lane, turn, tenant)
    way = through(lane, name, turn.task, amounts)
    bits = charged(lane, name, way, amounts)
    if name ~= '' then
      tail = tenant .. '/' .. name
      lane.through[name] = lane.through[name] + 1
      call('SADD', lane.at .. 'g' .. name, turn.task)
    end
  end
  local reserved = sub(entry, 25, 36)
  lane.taken[#lane.taken + 1] = turn.task
  lane.given[#lane.given + 1] = turn.task
  lane.given[#lane.given + 1] = session .. reserved .. START .. bits .. tail
  state.claims = state.claims + 1
  lane.is_changed = true
  return turn.task .. reserved .. pack_number('>I8I8I8I8', unpack(way.spent)) .. lane.id .. '/' .. tail
end

-- What was put off, to be written at once: the entries that are gone, the slots, the tenants' loads.
local function write(lane)
  if lane.taken[1] then
    call('HDEL', lane.at .. 'e', unpack(lane.taken))
    call('HSET', lane.at .. 'h', unpack(lane.given))
  end
  if lane.loads[1] then call('ZADD', lane.at .. 't', unpack(lane.loads)) end
  lane.taken, lane.given, lane.loads = {}, {}, {}
end

local asked = {}
for index = 6, #ARGV do
  local lane = lane_of(ARGV[index])
  lane.place = index
  lane.taken, lane.given, lane.loads = {}, {}, {}
  asked[#asked + 1] = lane
end
table.sort(asked, function(a, b)
  if a.state.turn == b.state.turn then return a.place < b.place end
  return a.state.turn < b.state.turn
end)

local served = tonumber(call('GET', P .. 'turn') or 0)
local first, claims, wait = 1, 0, nil
local result = { -1 }
while claims < want and first <= #asked do
  local lane = asked[first]
  local claimed, lane_wait = claim(lane)
  first = first + 1
  if claimed then
    claims, served = claims + 1, served + 1
    result[claims + 1] = claimed
    lane.state.turn = served
    asked[#asked + 1] = lane
    if #lane.taken >= AT_ONCE then write(lane) end
  elseif lane_wait and (not wait or lane_wait < wait) then
    wait = lane_wait
  end
end
for _, lane in ipairs(asked) do write(lane) end
if claims > 0 then call('SET', P .. 'turn', served) end
if wait and claims < want then result[1] = ceil(wait / 1000) end
return answer(result)
