-- Take waiting tasks out; slots are not touched.
-- ARGV: 5 lane, then tasks.

local lane = lane_of(ARGV[5])
for index = 6, #ARGV do take_out(lane, ARGV[index]) end
return answer(0)
