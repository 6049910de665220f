-- Whether a turn may go on. ARGV: turn, consumer, fence, epoch.
if current_epoch() ~= tonumber(ARGV[4]) then return {'stale'} end
if not held_turn(ARGV[1], ARGV[2], ARGV[3]) then return {'lost'} end
return {paused() and 'held' or 'ok'}
