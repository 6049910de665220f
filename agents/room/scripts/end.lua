-- How an effect ended. KEYS 9: effects. ARGV: effect id, state, ms an ended one is kept.
local text = redis.call('HGET', KEYS[9], ARGV[1])
if not text then return {'ok'} end
local now = clock_ms()
local state, started, body = string.match(text, '^(%a+) (%d+) %d+ (.*)$')
if state == 'started' or state == 'unknown' then
  redis.call('HSET', KEYS[9], ARGV[1], ARGV[2] .. ' ' .. started .. ' ' .. string.format('%.0f', now) .. ' ' .. body)
end
if redis.call('HLEN', KEYS[9]) % 256 == 0 then
  local all = redis.call('HGETALL', KEYS[9])
  for i = 1, #all, 2 do
    local ended = tonumber(string.match(all[i + 1], '^%a+ %d+ (%d+) '))
    if ended > 0 and ended < now - tonumber(ARGV[3]) then redis.call('HDEL', KEYS[9], all[i]) end
  end
end
return {'ok'}
