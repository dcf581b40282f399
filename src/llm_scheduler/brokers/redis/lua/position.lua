-- How many tasks of the same band come before one; the shares are looked through page by page.
-- ARGV: 4 lane, 5 task, 6 first share of this page, 7 shares in a page, 8 stop counting past.
-- Answer: {how many or -1 = it does not wait, 1 = there are more shares}

local lane, task = lane_of(ARGV[4]), ARGV[5]
local from, size, at_most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local entry = call('HGET', lane.at .. 'e', task)
if not entry then return answer({ -1, 0 }) end
local place, band = sub(entry, 1, 8) .. task, string.match(entry, '^%-?%d+:', 37)
local before = 0
local members = call('ZRANGE', lane.at .. 'n', from, from + size - 1)
for _, member in ipairs(members) do
  local share = string.match(member, '/(.*)$')
  if sub(share, 1, #band) == band then
    before = before + call('ZLEXCOUNT', lane.at .. 'q' .. share, '-', '(' .. place)
    if before > at_most then return answer({ before, 0 }) end
  end
end
return answer({ before, #members == size and 1 or 0 })
