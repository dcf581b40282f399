-- What the processes know of the record. ARGV: 1 wall ms ('' = the server's time), 2 '1' this process just reached
-- it, '0' it failed, '' it has not tried. Answers whether any process failed within the last seconds, and how many
-- ms ago any last reached it (-1 = nobody ever did).
local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
if ARGV[2] == '1' then call('SET', P .. 'reached', string.format('%.0f', now)) end
if ARGV[2] == '0' then call('SET', P .. 'doubt', 1, 'PX', 3000) end
local reached = call('GET', P .. 'reached')
return { call('EXISTS', P .. 'doubt'), reached and math.max(0, now - tonumber(reached)) or -1 }
