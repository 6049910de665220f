-- ARGV: wire, id, channel, log length kept, reason.
local known = answered(ARGV[2])
if not known then
  local epoch = redis.call('HINCRBY', control, 'epoch', 1)
  redis.call('HSET', control, 'state', 'stopped', 'reason', ARGV[5])
  redis.call('HDEL', control, 'paused')
  known = append(ARGV[1], epoch, ARGV[3], ARGV[4]) .. ' ' .. epoch
  remember(ARGV[2], known)
end
return control_now()
