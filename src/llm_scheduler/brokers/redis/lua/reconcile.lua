-- Mend towards the record: drop what is absent, adopt slots of what runs, add what waits.
-- ARGV: 4 how many are absent, 5 how many run, then lane and task(8) of the absent, lane and
-- task(8) session(8) attempt(4) claimed_at(8) tenant (and '/' gate) of what runs, lane and task(8) entry of what waits.
-- Answer: how many had to be changed.

local NOTHING_RESERVED, NEVER_CHARGED = string.rep('\0', 8), string.rep('\0', 11)

local changes, index = 0, 6

local function forget(lane, task)
  local slot = call('HGET', lane.at .. 'h', task)
  if slot then free(lane, task, slot, false, false) end
  return take_out(lane, task) or slot
end

local function adopt(lane, said)
  local task, session, attempt = sub(said, 1, 8), sub(said, 9, 16), sub(said, 17, 20)
  local newness = unpack_number('>I4', attempt)
  local held = call('HGET', lane.at .. 'h', task)
  if held then
    if sub(held, 1, 12) == session .. attempt or unpack_number('>I4', held, 9) > newness then return false end
    free(lane, task, held, false, false)
  else
    local entry = call('HGET', lane.at .. 'e', task)
    if entry and unpack_number('>I4', entry, 25) > newness then return false end
    take_out(lane, task)
  end
  local tenant, name = string.match(said, '^(%-?%d+)/?(.*)$', 29)
  slot_added(lane, tenant, task)
  if name ~= '' then call('SADD', lane.at .. 'g' .. name, task) end
  way_of(lane, name)
  local slot = session .. attempt .. NOTHING_RESERVED .. sub(said, 21, 28) .. NEVER_CHARGED .. sub(said, 29)
  call('HSET', lane.at .. 'h', task, slot)
  lane.is_news = true
  return true
end

local function mend(lane, task, entry)
  if add_new(lane, task, entry) then return true end
  local place = call('HGET', lane.at .. 'e', task)
  if not place or place == entry or unpack_number('>I4', place, 25) > unpack_number('>I4', entry, 25) then
    return false
  end
  take_out(lane, task)
  return add_new(lane, task, entry)
end

local function each(times, change)
  for _ = 1, times do
    if change(lane_of(ARGV[index]), ARGV[index + 1]) then changes = changes + 1 end
    index = index + 2
  end
end

each(tonumber(ARGV[4]), forget)
each(tonumber(ARGV[5]), adopt)
each((#ARGV + 1 - index) / 2, function(lane, said) return mend(lane, sub(said, 1, 8), sub(said, 9)) end)
return answer(changes)
