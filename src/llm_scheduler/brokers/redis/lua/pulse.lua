-- A sign of life: {epoch or '', beat}. A shard that was built in another life of the server is lost.
local epoch = call('GET', KEYS[1])
local built_in = call('GET', P .. 'life')
if epoch and built_in and built_in ~= life() then
  call('DEL', KEYS[1])
  epoch = false
end
return { epoch or '', call('INCR', P .. 'beat') }
