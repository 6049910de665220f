-- KEYS 9…: the addressees' inboxes. ARGV: wire, id, demanded epoch or '', channel, log length kept, '1' if said,
-- the User's request as JSON or '', then the addressees.
local known = answered(ARGV[2])
if known then return {'ok', known} end
local epoch = current_epoch()
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= epoch then return {'stale', epoch} end

local wire = ARGV[1]
local seq = append(wire, epoch, ARGV[4], ARGV[5])
if ARGV[6] == '1' then keep_as_said(seq, wire, epoch) end
for i = 9, #KEYS do deliver(KEYS[i], ARGV[i - 1], seq, wire, epoch) end

if ARGV[7] ~= '' then
  local state = redis.call('HGET', control, 'state')
  if not state or state == 'idle' or state == 'done' then redis.call('DEL', mission) end
  local number = redis.call('HINCRBY', mission, 'requests', 1)
  redis.call('HSET', mission, 'request:' .. number, ARGV[7])
  redis.call('HSET', control, 'state', 'running', 'reason', '', 'asked', seq)
end
local place = seq .. ' ' .. epoch
remember(ARGV[2], place)
return {'ok', place}
