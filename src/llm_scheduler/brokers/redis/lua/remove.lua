-- Take waiting tasks out; slots are not touched.
-- ARGV: 4 lane, then tasks.

local lane = lane_of(ARGV[4])
for index = 5, #ARGV do take_out(lane, ARGV[index]) end
return answer(0)
