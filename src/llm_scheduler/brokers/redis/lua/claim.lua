-- Give slots to the next tasks, one by one from the lane served least recently.
-- ARGV: 4 session(8), 5 want, then lanes. Answer: {wait ms or -1, task(8) attempt(4) tokens(4) tenant '/' lane, ...}

if call('EXISTS', KEYS[1]) == 0 then return answer({ 100 }) end -- lost: nothing until it is rebuilt; ask again then
local TOLERANCE_US, TRUSTED_US = 600000, 10000000
local RESERVE_EVERY = 10
local AT_ONCE = 1000

local session, want = ARGV[4], tonumber(ARGV[5])

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

local function wait_us(lane, tokens)
  local state = lane.state
  local wait = 0
  if state.rpm then wait = max(wait, state.requests - TOLERANCE_US - now_us) end
  if state.tpm then wait = max(wait, state.tokens - TOLERANCE_US - now_us, window_wait_us(lane, tokens)) end
  if state.on then
    wait = max(wait, (state.probe and max(state.open, state.trusted) or state.open) - now_us)
  end
  return wait
end

local function probe(state, task)
  if not state.probe then
    state.probe, state.trusted = task, now_us + TRUSTED_US
  else -- the probe has been out for long enough
    state.on, state.probe = false, false
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
  local time = turn.time
  if lane.state.fair then
    band[3] = time
    time = time + unpack_number('>d', turn.entry, 9)
  end
  if following then call('ZADD', tickets, time, following .. share) end
  if limit_of(tenant) then
    slot_added(lane, tenant, turn.task)
  else
    lane.running = lane.running + 1
    lane.loads[#lane.loads + 1] = '0'
    lane.loads[#lane.loads + 1] = tenant .. '/' .. turn.task
  end
  if not following then remember_time(lane, band, share, time) end
  shrink(lane, band)
end

local function claim(lane)
  local state = lane.state
  if not state.version or running_of(lane) >= state.max then return nil end
  local is_reserve = state.starve and state.claims % RESERVE_EVERY == RESERVE_EVERY - 1
  local turn = is_reserve and reserved_turn(lane) or not is_reserve and usual_turn(lane)
  if not turn then return nil end
  local has_limits = state.rpm or state.tpm
  local tokens = has_limits and unpack_number('>I4', turn.entry, 29)
  if has_limits or state.on then
    local wait = wait_us(lane, tokens)
    if wait > 0 then return nil, wait end
  end
  local tenant = tenant_of(turn.share)
  pop(lane, turn, tenant)
  local charged_in = has_limits and charge(lane, now_us, tokens)
  if state.on then probe(state, turn.task) end
  local reserved = sub(turn.entry, 25, 32)
  lane.taken[#lane.taken + 1] = turn.task
  lane.given[#lane.given + 1] = turn.task
  lane.given[#lane.given + 1] =
    session .. reserved .. pack_number('>I8I8', now_at, charged_in and charged_in + 1 or 0) .. tenant
  state.claims = state.claims + 1
  lane.is_changed = true
  return turn.task .. reserved .. tenant .. '/' .. lane.id
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
