-- KEYS 9: the turn's journal. ARGV: turn, consumer, fence, epoch, token of this call, channel, log length kept,
-- acts to count, '1' if something starts with it, number of entries, then the entries, then per event '1' if said, and
-- its wire. Answers 'held' where the room is paused and it was written, 'paused' where it wasn't.
if not answered(ARGV[5]) then
  if current_epoch() ~= tonumber(ARGV[4]) then return {'stale', current_epoch()} end
  if not held_turn(ARGV[1], ARGV[2], ARGV[3]) then return {'lost'} end
  if ARGV[9] == '1' and paused() then return {'paused'} end

  local last = 10 + tonumber(ARGV[10])
  for i = 11, last do redis.call('XADD', KEYS[9], '*', 'j', ARGV[i]) end
  for i = last + 1, #ARGV, 2 do
    local seq = append(ARGV[i + 1], ARGV[4], ARGV[6], ARGV[7])
    if ARGV[i] == '1' then keep_as_said(seq, ARGV[i + 1], ARGV[4]) end
  end
  if ARGV[8] ~= '0' then redis.call('HINCRBY', mission, 'acts', ARGV[8]) end
  remember(ARGV[5], '')
end
return {paused() and 'held' or 'ok'}
