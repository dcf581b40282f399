-- Charge the limits with what the record says of the last minute, in place of whatever they knew.
-- ARGV: from 4 on, four by four: lane, '1' to forget first, when it started (wall ms), tokens; oldest first.

for index = 4, #ARGV, 4 do
  local lane = lane_of(ARGV[index])
  local state = lane.state
  if ARGV[index + 1] == '1' then
    state.requests, state.tokens, state.newest, state.total = 0, 0, 0, 0
    call('DEL', lane.at .. 'w')
    lane.counted = nil
    lane.is_changed = true
  end
  if state.rpm or state.tpm then
    charge(lane, now_us - (now_at - tonumber(ARGV[index + 2])) * 1000, tonumber(ARGV[index + 3]))
  end
end
return answer(0)
