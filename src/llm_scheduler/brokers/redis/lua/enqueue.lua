-- Add waiting tasks; one that waits or holds a slot already is left as it is.
-- ARGV: from 4 on lane, task(8) + entry by turns.

for index = 4, #ARGV, 2 do
  add_new(lane_of(ARGV[index]), sub(ARGV[index + 1], 1, 8), sub(ARGV[index + 1], 9))
end
return answer(0)
