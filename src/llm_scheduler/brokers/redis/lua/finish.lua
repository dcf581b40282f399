-- Open a rebuilt shard. ARGV: 1 token, 2 the new epoch, 3 who asks (for wake-ups). 0 = another rebuild has begun.
if call('GET', P .. 'building') ~= ARGV[1] then return 0 end
call('DEL', P .. 'building')
call('SET', KEYS[1], ARGV[2])
call('SET', P .. 'life', life())
call('PUBLISH', CHANNEL, ARGV[3])
return 1
