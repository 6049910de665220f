-- An effect starts, or nothing happens. KEYS 9: the turn's journal; 10: approvals; 11: leases; 12: effects.
-- ARGV: turn, consumer, fence, epoch, token of this call, intent, acts to count, effect id, effect as JSON,
-- approval's field or '', its text as verified, its text when used, ms before which, lease's token or '', then its names.
if answered(ARGV[5]) then return {'ok'} end
if current_epoch() ~= tonumber(ARGV[4]) then return {'stale', current_epoch()} end
if not held_turn(ARGV[1], ARGV[2], ARGV[3]) then return {'lost'} end
if paused() then return {'paused'} end
local now = clock_ms()
if ARGV[10] ~= '' and (now >= tonumber(ARGV[13]) or redis.call('HGET', KEYS[10], ARGV[10]) ~= ARGV[11]) then
  return {'changed'}
end
for i = 15, #ARGV do
  local token, till = string.match(redis.call('HGET', KEYS[11], 'on:' .. ARGV[i]) or '', '^(%d+) (%d+) ')
  if token ~= ARGV[14] or tonumber(till) <= now then return {'expired', ARGV[i]} end
end

if ARGV[10] ~= '' then redis.call('HSET', KEYS[10], ARGV[10], ARGV[12]) end
redis.call('XADD', KEYS[9], '*', 'j', ARGV[6])
redis.call('HSET', KEYS[12], ARGV[8], 'started ' .. string.format('%.0f', now) .. ' 0 ' .. ARGV[9])
if ARGV[7] ~= '0' then redis.call('HINCRBY', mission, 'acts', ARGV[7]) end
remember(ARGV[5], '')
return {'ok'}
