-- Nobody asks before a time: never moved back. ARGV: ms from now.
local till = clock_ms() + tonumber(ARGV[1])
if till > tonumber(redis.call('HGET', all, 'not_before') or '0') then
  redis.call('HSET', all, 'not_before', whole(till))
end
return {'ok'}
