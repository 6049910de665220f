-- Somebody told of the high spending under the caps in force. ARGV: room's cap in nano-dollars and in tokens.
local cap_nano, cap_tokens = caps(ARGV[1], ARGV[2])
redis.call('HSET', account, '#told', cap_nano .. ' ' .. cap_tokens)
return {'ok'}
