-- KEYS 9: the turn's journal; 10: the role's inbox; 11…: inboxes of addressees. ARGV: turn, consumer, fence, epoch,
-- channel, log length kept, state the outcome asks for or '', reason, outcome as JSON, seconds to keep the journal,
-- then per reply: wire, id, '1' if said, number of addressees, and per addressee its index in KEYS and its role.
local journal, inbox = KEYS[9], KEYS[10]
local id, consumer, fence = ARGV[1], ARGV[2], ARGV[3]
local epoch = current_epoch()
local stale = epoch ~= tonumber(ARGV[4])

local turn = held_turn(id, consumer, fence)
if not turn then
  local last = redis.call('XREVRANGE', journal, '+', '-', 'COUNT', 1)[1]
  if last and last[2][1] == 'closed' and last[2][2] == consumer .. ' ' .. fence then
    return {'ok', last[2][6]}
  end
  -- a CLEAR wiped it: closed already
  if stale and redis.call('HEXISTS', turns, id) == 0 then return {'ok', ''} end
  return {'lost'}
end

local places = {}
local i = 11
while i <= #ARGV do
  local wire, reply, is_said, count = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local place = answered(reply)
  if not place then
    local seq = append(wire, epoch, ARGV[5], ARGV[6])
    if is_said == '1' then keep_as_said(seq, wire, epoch) end
    if not stale then
      for j = i + 4, i + 3 + 2 * count, 2 do
        deliver(KEYS[tonumber(ARGV[j])], ARGV[j + 1], seq, wire, epoch)
      end
    end
    place = seq .. ' ' .. epoch
    remember(reply, place)
  end
  places[#places + 1] = place
  i = i + 4 + 2 * count
end

-- the User's latest word may still wait for this very role: then its next turn decides the state
local asked = redis.call('HGET', control, 'asked')
local word_waits = false
if asked and #redis.call('XRANGE', inbox, asked, asked) > 0 then
  word_waits = true
  for _, entry in ipairs(turn.entries) do
    if entry == asked then word_waits = false end
  end
end
if ARGV[7] ~= '' and not stale and not word_waits then
  redis.call('HSET', control, 'state', ARGV[7], 'reason', ARGV[8])
end

close_turn(id, turn, inbox)
local answer = table.concat(places, ',')
redis.call('XADD', journal, '*', 'closed', consumer .. ' ' .. fence, 'outcome', ARGV[9], 'places', answer)
redis.call('EXPIRE', journal, ARGV[10])
return {'ok', answer}
