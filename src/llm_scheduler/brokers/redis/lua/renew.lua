-- The elected rebuilder is alive. ARGV: 1 token, 2 how long it lasts in ms.
if call('GET', P .. 'building') ~= ARGV[1] then return 0 end
return call('PEXPIRE', P .. 'building', ARGV[2])
