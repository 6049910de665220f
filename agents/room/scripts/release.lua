-- ARGV: turn, consumer, fence. The turn is anybody's at once.
local turn = held_turn(ARGV[1], ARGV[2], ARGV[3])
if not turn then return {'lost'} end
turn.till, turn.released = 0, true
redis.call('HSET', turns, ARGV[1], cjson.encode(turn))
return {'ok'}
