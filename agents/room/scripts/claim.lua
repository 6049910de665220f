-- KEYS 9: the role's inbox. ARGV: role, consumer, life (of the consumer's process), lease in ms, id for a new turn,
-- most messages per turn.
local inbox, role, consumer, life = KEYS[9], ARGV[1], ARGV[2], ARGV[3]
local lease, new_id, most = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local epoch, now = current_epoch(), clock_ms()
if paused() then return {'none'} end

local function held_deliveries(entries)
  local out = {}
  for _, id in ipairs(entries) do
    local found = redis.call('XRANGE', inbox, id, id)
    if found[1] then
      out[#out + 1] = id
      out[#out + 1] = found[1][2][2]
      out[#out + 1] = found[1][2][4]
    end
  end
  return out
end

-- The turn becomes ours, or stays ours: only then nothing rises, so a repeated claim gets the same answer.
local function take(id, turn)
  if turn.consumer ~= consumer or turn.life ~= life then
    turn.fence = turn.fence + 1
    if turn.released then turn.released = nil else turn.attempt = turn.attempt + 1 end
    if turn.consumer ~= consumer then
      for _, entry in ipairs(turn.entries) do redis.call('XCLAIM', inbox, role, consumer, 0, entry) end
    end
    turn.consumer, turn.life = consumer, life
  end
  turn.till = now + lease
  redis.call('HSET', turns, id, cjson.encode(turn))
  return {'turn', id, turn.fence, turn.attempt, turn.epoch, held_deliveries(turn.entries), 0}
end

-- 1. a turn we hold; 2. the oldest one whose lease ran out. Those of an older epoch have nothing more to do.
local in_turns, in_turns_count = {}, 0
local mine, orphan = nil, nil
local open = redis.call('HGETALL', turns)
for i = 1, #open, 2 do
  local id, turn = open[i], cjson.decode(open[i + 1])
  if turn.role == role then
    local held = turn.consumer == consumer
    if turn.epoch ~= epoch and (held or turn.till < now) then
      close_turn(id, turn, inbox)
    else
      for _, entry in ipairs(turn.entries) do
        in_turns[entry] = true
        in_turns_count = in_turns_count + 1
      end
      if held then
        mine = mine or {id, turn}
      elseif turn.till < now and (not orphan or turn.opened < orphan[2].opened) then
        orphan = {id, turn}
      end
    end
  end
end
local found = mine or orphan
if found then return take(found[1], found[2]) end

-- 3. everything pending as one new turn. Old epochs are acknowledged and left out.
local entries, deliveries = {}, {}
local function add(entry)
  local id, fields = entry[1], entry[2]
  if tonumber(fields[4]) == epoch then
    entries[#entries + 1] = id
    deliveries[#deliveries + 1] = id
    deliveries[#deliveries + 1] = fields[2]
    deliveries[#deliveries + 1] = fields[4]
  else
    redis.call('XACK', inbox, role, id)
    redis.call('XDEL', inbox, id)
  end
end

local function read_group()
  return redis.pcall('XREADGROUP', 'GROUP', role, consumer, 'COUNT', most - #entries, 'STREAMS', inbox, '>')
end

local function read_new()
  local reply = read_group()
  if type(reply) == 'table' and reply.err then
    redis.call('XGROUP', 'CREATE', inbox, role, '0', 'MKSTREAM')
    redis.call('SADD', roles, role)
    reply = read_group()
    if type(reply) == 'table' and reply.err then error(reply.err) end
  end
  return reply and reply[1] and reply[1][2] or {}
end

local fresh = read_new()
-- delivered once to somebody, but in no open turn: nobody else will ever work on them
if redis.call('XPENDING', inbox, role)[1] > in_turns_count + #fresh then
  local is_fresh = {}
  for _, entry in ipairs(fresh) do is_fresh[entry[1]] = true end
  for _, stuck in ipairs(redis.call('XPENDING', inbox, role, '-', '+', most * 20)) do
    local id = stuck[1]
    if not in_turns[id] and not is_fresh[id] and #entries + #fresh < most * 2 then
      redis.call('XCLAIM', inbox, role, consumer, 0, id)
      local at = redis.call('XRANGE', inbox, id, id)[1]
      if at then add(at) else redis.call('XACK', inbox, role, id) end
    end
  end
end
for _, entry in ipairs(fresh) do add(entry) end
while #entries == 0 and #fresh > 0 do
  fresh = read_new()
  for _, entry in ipairs(fresh) do add(entry) end
end
if #entries == 0 then return {'none'} end

local turn = {role = role, consumer = consumer, life = life, fence = 1, attempt = 1, epoch = epoch,
  opened = now, till = now + lease, entries = entries}
redis.call('HSET', turns, new_id, cjson.encode(turn))
return {'turn', new_id, 1, 1, epoch, deliveries, 1}
