-- Give all of a lease's names to a holder, or none. KEYS 9: leases. ARGV: holder, ms, then the names.
local now = clock_ms()
for i = 3, #ARGV do
  local till, holder = string.match(redis.call('HGET', KEYS[9], 'on:' .. ARGV[i]) or '', '^%d+ (%d+) (.*)$')
  if till and tonumber(till) > now and holder ~= ARGV[1] then return {'held', holder} end
end
local token = redis.call('HINCRBY', KEYS[9], 'token', 1)
local till = string.format('%.0f', now + tonumber(ARGV[2]))
for i = 3, #ARGV do redis.call('HSET', KEYS[9], 'on:' .. ARGV[i], token .. ' ' .. till .. ' ' .. ARGV[1]) end
return {'ok', token}
