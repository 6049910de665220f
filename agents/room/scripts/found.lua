-- ARGV: incarnation to give, the epoch known before the data went away or '', why it is stopped.
if redis.call('HEXISTS', control, 'born') == 0 then
  redis.call('HSET', control, 'born', ARGV[1])
  -- the User's word has begun it anew already: its epoch must stay, or the word would be dropped
  if ARGV[2] ~= '' and redis.call('HEXISTS', control, 'asked') == 0 then
    -- epochs go on rising: what was begun before must not fit
    redis.call('HSET', control, 'epoch', tonumber(ARGV[2]) + 1, 'state', 'stopped', 'reason', ARGV[3])
  end
end
return control_now()
