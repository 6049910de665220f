-- ARGV: id, room, figures (calls, input, cached, output, nano, guessed), room's cap in nano-dollars and in tokens, share
-- of a cap that is high. A repeated id, or one that lapsed and is booked already, changes nothing.
local now = clock_ms()
local text = redis.call('HGET', open, ARGV[1])
-- one that gives up waiting
redis.call('HDEL', room_line, ARGV[1])
redis.call('HDEL', all_line, ARGV[1])
if text then
  local entry, figures = parsed(text), {}
  for i = 1, 6 do figures[i] = tonumber(ARGV[i + 2]) end
  redis.call('HDEL', open, ARGV[1])
  book(entry.role, figures, now)
  local _, nano, last = in_flight(now)
  announce(ARGV[2], nano, last)
  local more = figures[2] + figures[4] - entry.tokens
  for _, key in ipairs({room_window, all_window}) do
    if redis.call('HEXISTS', key, 't' .. entry.slot) == 1 then
      redis.call('HINCRBY', key, 't' .. entry.slot, whole(more))
    end
  end
end
local cap_nano, cap_tokens = caps(ARGV[9], ARGV[10])
local known = redis.call('HMGET', account, '#nano', '#tokens', '#told')
local share = tonumber(ARGV[11])
local high = (cap_nano ~= '' and tonumber(known[1] or '0') >= share * tonumber(cap_nano))
  or (cap_tokens ~= '' and tonumber(known[2] or '0') >= share * tonumber(cap_tokens))
if high and known[3] ~= cap_nano .. ' ' .. cap_tokens then return {'high'} end
return {'ok'}
