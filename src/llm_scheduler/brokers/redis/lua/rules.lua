-- Replace the rules of lanes. Rules older than those in force are ignored.
-- ARGV: from 4 on, seven by seven: lane, most slots (0 when paused), rpm or '', tpm or '', '1' = by virtual time,
-- starve after ms or '', version.

for index = 4, #ARGV, 7 do
  local lane = lane_of(ARGV[index])
  local state, version = lane.state, tonumber(ARGV[index + 6])
  if not state.version or version >= state.version then
    state.version = version
    state.max = tonumber(ARGV[index + 1])
    state.rpm, state.tpm = tonumber(ARGV[index + 2]) or false, tonumber(ARGV[index + 3]) or false
    state.starve = tonumber(ARGV[index + 5]) or false
    local is_fair = ARGV[index + 4] == '1'
    if is_fair ~= state.fair then -- virtual times start anew
      state.fair = is_fair
      for _, band in ipairs(state.bands) do
        local tickets = lane.at .. 'b' .. band[1]
        band[3] = 0
        call('ZUNIONSTORE', tickets, 1, tickets, 'WEIGHTS', 0)
        call('DEL', lane.at .. 'i' .. band[1])
      end
    end
  end
  lane.is_news = true
end
return answer(0)
