-- KEYS 9: the role's inbox. ARGV: role.
local in_turns = {}
local open = redis.call('HVALS', turns)
for _, text in ipairs(open) do
  local turn = cjson.decode(text)
  if turn.role == ARGV[1] then
    for _, entry in ipairs(turn.entries) do in_turns[entry] = true end
  end
end
local epoch, waiting = current_epoch(), 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[9], '-', '+')) do
  if not in_turns[entry[1]] and tonumber(entry[2][4]) == epoch then waiting = waiting + 1 end
end
return {'ok', waiting}
