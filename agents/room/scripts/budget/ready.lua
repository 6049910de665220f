-- ms until anybody may ask again.
return {'ok', math.max(tonumber(redis.call('HGET', all, 'not_before') or '0') - clock_ms(), 0)}
