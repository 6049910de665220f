-- Write one field of a check that exists. ARGV: check, 'verdict' or 'waived', value.
if redis.call('HEXISTS', mission, 'check:' .. ARGV[1]) == 0 then return {'unknown'} end
redis.call('HSET', mission, ARGV[2] .. ':' .. ARGV[1], ARGV[3])
return {'ok', redis.call('HGETALL', mission)}
