-- KEYS 9: presence. ARGV: consumer, body. The time is the server's: workers' clocks may differ.
redis.call('HSET', KEYS[9], ARGV[1], clock_ms() .. ' ' .. ARGV[2])
return {'ok'}
