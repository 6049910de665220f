-- Prolong a lease, or give it back. KEYS 9: leases. ARGV: token, ms or '' to give back, then the names.
local now, held = clock_ms(), true
local mine = {}
for i = 3, #ARGV do
  local token, till, holder = string.match(redis.call('HGET', KEYS[9], 'on:' .. ARGV[i]) or '', '^(%d+) (%d+) (.*)$')
  if token == ARGV[1] then mine[#mine + 1] = {'on:' .. ARGV[i], holder} end
  if token ~= ARGV[1] or tonumber(till) <= now then held = false end
end
if ARGV[2] == '' then
  for _, lease in ipairs(mine) do redis.call('HDEL', KEYS[9], lease[1]) end
elseif held then
  local till = string.format('%.0f', now + tonumber(ARGV[2]))
  for _, lease in ipairs(mine) do
    redis.call('HSET', KEYS[9], lease[1], ARGV[1] .. ' ' .. till .. ' ' .. lease[2])
  end
end
return {held and 'ok' or 'lost'}
