-- Takes tokens of one bucket (see domain/rate.py). KEYS[1] holds when it is full: microseconds, by this server's clock.
-- ARGV: 1 microseconds for one token, 2 from empty to full, 3 tokens that are spent already (negative: given back),
-- 4 tokens wanted, 5 microseconds of debt at most.
-- Answer: tokens given, tokens left, microseconds until there is one, and until it is full.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each, burst, spent, want, debt =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now))
-- The bound also heals what a server with another clock has written.
full_at = math.max(now, math.min(full_at + spent * each, now + burst + debt))
local left = math.floor((now + burst - full_at) / each + 1e-6)
local granted = math.max(0, math.min(want, left))
full_at = full_at + granted * each
if full_at > now then
  redis.call('SET', KEYS[1], string.format('%.3f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1000)
else
  redis.call('DEL', KEYS[1])
end
local remaining = math.max(0, left - granted)
local wait = 0
if remaining == 0 then
  wait = math.max(0, full_at + each - burst - now)
end
return { granted, remaining, math.ceil(wait), math.ceil(full_at - now) }
