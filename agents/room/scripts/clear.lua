-- KEYS 9…: the failures, the approvals, the findings, every inbox and every open turn's journal. ARGV: wire, id, channel, log length kept, reason, number of
-- inboxes, then the open turns.
local known = answered(ARGV[2])
if not known then
  -- one that came meanwhile isn't in KEYS: ask for the call again
  if redis.call('SCARD', roles) ~= tonumber(ARGV[6]) or redis.call('HLEN', turns) ~= #ARGV - 6 then
    return {'again'}
  end
  for i = 7, #ARGV do
    if redis.call('HEXISTS', turns, ARGV[i]) == 0 then return {'again'} end
  end
  local epoch = redis.call('HINCRBY', control, 'epoch', 1)
  redis.call('HSET', control, 'state', 'stopped', 'reason', ARGV[5])
  -- trimmed, not deleted: their ids go on rising
  redis.call('XTRIM', log, 'MAXLEN', 0)
  redis.call('XTRIM', said, 'MAXLEN', 0)
  for i = 9, #KEYS do redis.call('DEL', KEYS[i]) end
  redis.call('DEL', turns, mission, roles)
  redis.call('HDEL', control, 'asked', 'paused')
  known = append(ARGV[1], epoch, ARGV[3], ARGV[4]) .. ' ' .. epoch
  remember(ARGV[2], known)
end
return control_now()
