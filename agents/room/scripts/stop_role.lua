-- KEYS 9: the role's inbox; 10…: the journals of its open turns. ARGV: wire, id, channel, log length kept, role,
-- seconds to keep the journals, then those turns.
local known = answered(ARGV[2])
if known then return {'ok', tonumber(string.match(known, '(%d+)$'))} end
local found, open = {}, redis.call('HGETALL', turns)
local count = 0
for i = 1, #open, 2 do
  local turn = cjson.decode(open[i + 1])
  if turn.role == ARGV[5] then
    found[open[i]] = turn
    count = count + 1
  end
end
-- one that came meanwhile isn't in KEYS: ask for the call again
if count ~= #ARGV - 6 then return {'again'} end
for i = 7, #ARGV do
  if not found[ARGV[i]] then return {'again'} end
end
for i = 7, #ARGV do
  close_turn(ARGV[i], found[ARGV[i]], KEYS[9])
  local journal = KEYS[i + 3]
  redis.call('XADD', journal, '*', 'closed', '', 'outcome', '{"reason":"stopped"}', 'places', '')
  redis.call('EXPIRE', journal, ARGV[6])
end
redis.call('DEL', KEYS[9])
append(ARGV[1], current_epoch(), ARGV[3], ARGV[4])
remember(ARGV[2], tostring(count))
return {'ok', count}
