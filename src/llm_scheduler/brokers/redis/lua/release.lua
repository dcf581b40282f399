-- Free slots, settle tokens, put tasks back. Only a slot of the same attempt is freed.
-- ARGV: from 4 on, six by six: lane, task(8) attempt(4), used tokens or '', used output or '', 'ok', 'failed' or '',
-- and lane '/' task(8) entry to put back, or ''. Answer: for each 1 = freed, 0 = not held by this claim.

-- What a call used, where '' keeps the reservation. What came out is never more than all tokens.
local function used_of(reserved, tokens, output)
  output = output or reserved[4]
  if not tokens then return { 1, reserved[2], reserved[3], output } end
  output = min(output, tokens)
  return { 1, tokens, tokens - output, output }
end

local function corrected(lane, slot, name, tokens, output)
  local state, way = lane.state, way_of(lane, name)
  local slice, counted, own, paced = unpack_number('>I8BBB', slot, 29)
  local reserved = slice > 0 and amounts_in(slot, 13) or { 1, 0, 0, 0 }
  local used, spent = used_of(reserved, tokens, output), way.spent
  if slice > 0 then
    spent[2], spent[3] = spent[2] + used[2] - reserved[2], spent[3] + used[3] - reserved[3]
    spent[4] = spent[4] + used[4] - reserved[4]
  end
  if name ~= '' then
    settle(lane, state.limits, '', nil, slice - 1, counted, 0, reserved, used)
    settle(lane, way.limits, suffix_of(name), way.paces, slice - 1, own, paced, reserved, used)
  elseif state.limited or way.paces then
    settle(lane, state.limits, '', way.paces, slice - 1, counted, paced, reserved, used)
  end
end

local freed = {}
for index = 4, #ARGV, 6 do
  local lane = lane_of(ARGV[index])
  local task, attempt = sub(ARGV[index + 1], 1, 8), sub(ARGV[index + 1], 9)
  local slot = call('HGET', lane.at .. 'h', task)
  local is_ours = slot and sub(slot, 9, 12) == attempt
  if is_ours then
    local name = free(lane, task, slot, ARGV[index + 4] == 'ok', ARGV[index + 4] == 'failed')
    local tokens, output = tonumber(ARGV[index + 2]), tonumber(ARGV[index + 3])
    if tokens or output then corrected(lane, slot, name, tokens, output) end
    local back_id, back = string.match(ARGV[index + 5], '^(%-?%d+)/(.*)$')
    if back then add_new(lane_of(back_id), sub(back, 1, 8), sub(back, 9)) end
  end
  freed[#freed + 1] = is_ours and 1 or 0
end
return answer(freed)
