-- Begins every script. The key space of one shard ({ls:0}: stands for its hash tag):
--
--   {ls:0}:epoch          STRING  made by the last rebuild; missing = the shard is lost and claims give nothing
--   {ls:0}:life           STRING  run id of the server that it was built on; on another one it is lost
--   {ls:0}:building       STRING  token of the elected rebuilder, expires
--   {ls:0}:beat           STRING  counts pulses; in a shard that went back in time it is lower than before
--   {ls:0}:turn           STRING  counts claims of all lanes, so that lanes are served least recently first
--   {ls:0}:leader         STRING  session that leads, expires (shard 0 only)
--   {ls:0}:reached        STRING  ms: when any process last reached the record (shard 0 only)
--   {ls:0}:doubt          STRING  some process could not, expires (shard 0 only)
--   {ls:0}:lanes          SET     ids of the lanes that have a state
--   {ls:0}:tenants        HASH    tenant -> most slots of a lane at once
--
-- and of each lane (<lane> is its id):
--
--   <lane>:s              STRING  MessagePack: rules, limits, gates, bands with their sizes and virtual times
--   <lane>:e              HASH    task -> entry (waiting)
--   <lane>:q<share>       ZSET    what waits in a share: order .. task, all of score 0
--   <lane>:n              ZSET    shares in which something waits: tenant '/' share, all of score 0
--   <lane>:b<band>        ZSET    tickets of the active shares: order .. task .. share of the head -> virtual time
--   <lane>:i<band>        ZSET    inactive shares that are ahead of their band: share -> virtual time
--   <lane>:h              HASH    task -> slot (claimed, not released)
--   <lane>:t              ZSET    the slots once more by tenant: tenant '/' task, all of score 0
--   <lane>:g<gate>        SET     tasks that hold a slot of a gate that has a name
--   <lane>:w<unit>        HASH    slice of 100 ms -> units (2 tokens, 3 in, 4 out) of the calls that started in it
--   <lane>:w<unit>/<gate> HASH    the same of one gate
--   <lane>:c              HASH    where the rules ask for it: 'n' tenant -> tasks that wait, 'c' tenant -> millionths of cost
--
-- A task is 8 bytes, big-endian; so is an order (plus 2^63), so that bytes compare as numbers do. A share is
-- "<band>:<tenant>" or "<band>:<tenant>:<share>", an entry order(8) cost(f8) queued_at(8) attempt(4) tokens(4) output(4)
-- share, and ';' weight if that is not 1, a slot session(8) attempt(4) tokens(4) output(4) claimed_at(8)
-- slice of its start + 1(8, 0 = adopted, never charged) where it was counted(3: lane, gate, paces) tenant, and '/' gate
-- if that has a name.
-- Strings are never compared by < here: Lua would ask the server's locale.

local call = redis.call
local P = string.sub(KEYS[1], 1, -6)
local CHANNEL = string.match(P, '^{(.*):%d+}') .. ':wake'
