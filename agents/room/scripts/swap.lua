-- Change fields of a hash if they are what was read, and post an event with it. KEYS 9: the hash; 10…: inboxes.
-- ARGV: token of this call, wire or '', event id, '1' if said, channel, log length kept, demanded epoch or '', ms before
-- which or '', number of changes, per change field, old text and new ('' where it isn't there), then the addressees.
if answered(ARGV[1]) then return {'ok'} end
local epoch = current_epoch()
if ARGV[7] ~= '' and tonumber(ARGV[7]) ~= epoch then return {'stale', epoch} end
if ARGV[8] ~= '' and clock_ms() >= tonumber(ARGV[8]) then return {'changed'} end
local last = 9 + 3 * tonumber(ARGV[9])
for i = 10, last, 3 do
  if (redis.call('HGET', KEYS[9], ARGV[i]) or '') ~= ARGV[i + 1] then return {'changed'} end
end

for i = 10, last, 3 do
  if ARGV[i + 2] == '' then
    redis.call('HDEL', KEYS[9], ARGV[i])
  else
    redis.call('HSET', KEYS[9], ARGV[i], ARGV[i + 2])
  end
end
if ARGV[2] ~= '' and not answered(ARGV[3]) then
  local seq = append(ARGV[2], epoch, ARGV[5], ARGV[6])
  if ARGV[4] == '1' then keep_as_said(seq, ARGV[2], epoch) end
  for i = 10, #KEYS do deliver(KEYS[i], ARGV[last + i - 9], seq, ARGV[2], epoch) end
  remember(ARGV[3], seq .. ' ' .. epoch)
end
remember(ARGV[1], '')
return {'ok'}
