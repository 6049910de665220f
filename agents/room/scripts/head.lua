-- Keep a ledger's head unless a later one is known. KEYS 9: heads. ARGV: ledger, lines, hash, host.
local known = string.match(redis.call('HGET', KEYS[9], ARGV[1]) or '', '^%d+')
if not known or tonumber(known) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[9], ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
end
return {'ok'}
