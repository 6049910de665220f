-- ARGV: turn, consumer, fence, lease in ms.
local turn = held_turn(ARGV[1], ARGV[2], ARGV[3])
if not turn then return {'lost'} end
turn.till = clock_ms() + tonumber(ARGV[4])
redis.call('HSET', turns, ARGV[1], cjson.encode(turn))
return {'ok'}
