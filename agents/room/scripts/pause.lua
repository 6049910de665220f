-- ARGV: wire, id, channel, log length kept, why ('' to go on).
if not answered(ARGV[2]) then
  if ARGV[5] == '' then
    redis.call('HDEL', control, 'paused')
  else
    redis.call('HSET', control, 'paused', ARGV[5])
  end
  local epoch = current_epoch()
  remember(ARGV[2], append(ARGV[1], epoch, ARGV[3], ARGV[4]) .. ' ' .. epoch)
end
return control_now()
