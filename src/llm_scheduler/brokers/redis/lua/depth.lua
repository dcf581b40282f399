-- How much waits and runs in a lane; the shares are looked through page by page.
-- ARGV: 4 lane, 5 first share of this page, 6 shares in a page.
-- Answer: {1 = has rules, running, {band, waiting, cost in millionths, ...}, oldest head in ms or -1, 1 = there are more shares}

local lane = lane_of(ARGV[4])
local from, size = tonumber(ARGV[5]), tonumber(ARGV[6])
local bands, oldest = {}, -1
for _, band in ipairs(lane.state.bands) do bands[#bands + 1], bands[#bands + 2], bands[#bands + 3] = band[1], band[2], band[4] end
local members = call('ZRANGE', lane.at .. 'n', from, from + size - 1)
for _, member in ipairs(members) do
  local head = head_of(lane, string.match(member, '/(.*)$'))
  local queued_at = unpack_number('>I8', call('HGET', lane.at .. 'e', sub(head, 9)), 17)
  if oldest < 0 or queued_at < oldest then oldest = queued_at end
end
return answer({ lane.state.version and 1 or 0, running_of(lane), bands, oldest, #members == size and 1 or 0 })
