-- A lease that its holder renews. ARGV: 1 who, 2 how long in ms.
local holder = call('GET', P .. 'leader')
if holder and holder ~= ARGV[1] then return 0 end
call('SET', P .. 'leader', ARGV[1], 'PX', ARGV[2])
return 1
