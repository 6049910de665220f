-- KEYS 9: the turn's journal. ARGV: turn, consumer, fence, epoch, token of this call, channel, log length kept,
-- acts to count, number of entries, then the entries, then per event '1' if said, and its wire.
if answered(ARGV[5]) then return {'ok'} end
if current_epoch() ~= tonumber(ARGV[4]) then return {'stale', current_epoch()} end
if not held_turn(ARGV[1], ARGV[2], ARGV[3]) then return {'lost'} end

local last = 9 + tonumber(ARGV[9])
for i = 10, last do redis.call('XADD', KEYS[9], '*', 'j', ARGV[i]) end
for i = last + 1, #ARGV, 2 do
  local seq = append(ARGV[i + 1], ARGV[4], ARGV[6], ARGV[7])
  if ARGV[i] == '1' then keep_as_said(seq, ARGV[i + 1], ARGV[4]) end
end
if ARGV[8] ~= '0' then redis.call('HINCRBY', mission, 'acts', ARGV[8]) end
remember(ARGV[5], '')
return {'ok'}
