-- Who rebuilds a lost shard? ARGV: 1 token, 2 how long it lasts in ms, 3 '1' = declare it lost first.
-- Answer: 1 = this token, 0 = another one does it, or nothing is lost.

if ARGV[3] == '1' then
  call('DEL', KEYS[1], P .. 'building')
elseif call('EXISTS', KEYS[1], P .. 'building') > 0 then
  return 0
end
call('SET', P .. 'building', ARGV[1], 'PX', ARGV[2])
return 1
