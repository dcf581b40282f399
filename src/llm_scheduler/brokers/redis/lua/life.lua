-- Which start of the server this is: a restart or a failover may have lost the last writes. '' if it does not tell.
local function life()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
end
