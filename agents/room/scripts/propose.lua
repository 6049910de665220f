-- ARGV: most checks, then pairs of id and probe as JSON.
local unknown = {}
for i = 2, #ARGV, 2 do
  if redis.call('HEXISTS', mission, 'check:' .. ARGV[i]) == 0 then unknown[ARGV[i]] = ARGV[i + 1] end
end
local added = 0
for _ in pairs(unknown) do added = added + 1 end
local there = tonumber(redis.call('HGET', mission, 'checks') or '0')
if there + added > tonumber(ARGV[1]) then return {'full', there} end
for i = 2, #ARGV, 2 do
  if unknown[ARGV[i]] then
    unknown[ARGV[i]] = nil
    local number = redis.call('HINCRBY', mission, 'checks', 1)
    redis.call('HSET', mission, 'check:' .. ARGV[i], number .. ' ' .. ARGV[i + 1])
  end
end
return {'ok', redis.call('HGETALL', mission)}
