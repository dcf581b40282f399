-- Add waiting tasks; one that waits or holds a slot already is left as it is.
-- ARGV: from 5 on lane, task(8) + entry by turns.

for index = 5, #ARGV, 2 do
  local lane = lane_of(ARGV[index])
  local task, entry = sub(ARGV[index + 1], 1, 8), sub(ARGV[index + 1], 9)
  if call('HEXISTS', lane.at .. 'e', task) == 0 and call('HEXISTS', lane.at .. 'h', task) == 0 then
    add(lane, task, entry)
  end
end
return answer(0)
