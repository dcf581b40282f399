-- Free slots, settle tokens, put tasks back. Only a slot of the same attempt is freed.
-- ARGV: from 4 on, five by five: lane, task(8) attempt(4), used tokens or '', '1' after a success,
-- and lane '/' task(8) entry to put back, or ''. Answer: for each 1 = freed, 0 = not held by this claim.

local freed = {}
for index = 4, #ARGV, 5 do
  local lane = lane_of(ARGV[index])
  local task, attempt = sub(ARGV[index + 1], 1, 8), sub(ARGV[index + 1], 9)
  local slot = call('HGET', lane.at .. 'h', task)
  local is_ours = slot and sub(slot, 9, 12) == attempt
  if is_ours then
    free(lane, task, slot, ARGV[index + 3] == '1')
    local used = tonumber(ARGV[index + 2])
    if used then
      local charged_in = unpack_number('>I8', slot, 25) - 1
      settle(lane, charged_in >= 0 and charged_in, unpack_number('>I4', slot, 13), used)
    end
    local back_id, back = string.match(ARGV[index + 4], '^(%-?%d+)/(.*)$')
    if back then add_new(lane_of(back_id), sub(back, 1, 8), sub(back, 9)) end
  end
  freed[#freed + 1] = is_ours and 1 or 0
end
return answer(freed)
