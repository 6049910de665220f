-- Common to every script: put before each of them. Every key comes in KEYS, the room's own ones first.
local control, log, said, ids, old_ids = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local turns, mission, roles = KEYS[6], KEYS[7], KEYS[8]
local IDS_PER_GENERATION = 20000
local SAID_KEPT = 2000

local function current_epoch()
  return tonumber(redis.call('HGET', control, 'epoch') or '0')
end

local function clock_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- A pause lies over the state, which goes on changing beneath it.
local function paused()
  return redis.call('HEXISTS', control, 'paused') == 1
end

local function control_now()
  local fields = redis.call('HMGET', control, 'epoch', 'state', 'reason', 'paused', 'born')
  return {'ok', fields[1] or '0', fields[2] or 'idle', fields[3] or '', fields[4] or false, fields[5] or '', clock_ms()}
end

-- What a repeated id was answered the first time, or false.
local function answered(id)
  return redis.call('HGET', ids, id) or redis.call('HGET', old_ids, id)
end

-- Two generations bound the memory: at least the last IDS_PER_GENERATION ids are known.
local function remember(id, answer)
  if redis.call('HLEN', ids) >= IDS_PER_GENERATION then
    redis.call('RENAME', ids, old_ids)
  end
  redis.call('HSET', ids, id, answer)
end

-- Log and publish. The room's part goes in front of the wire as text: content is never decoded here.
local function append(wire, epoch, channel, kept)
  local seq = redis.call('XADD', log, 'MAXLEN', '~', kept, '*', 'm', wire, 'e', epoch)
  redis.call('PUBLISH', channel, '{"seq":"' .. seq .. '","epoch":' .. epoch .. ',' .. string.sub(wire, 2))
  return seq
end

local function keep_as_said(seq, wire, epoch)
  redis.call('XADD', said, 'MAXLEN', '~', SAID_KEPT, seq, 'm', wire, 'e', epoch)
end

local function deliver(inbox, role, seq, wire, epoch)
  local placed = redis.pcall('XADD', inbox, seq, 'm', wire, 'e', epoch)
  -- somebody else wrote into the inbox: a later id than the log's is better than a message that can't be posted
  if type(placed) == 'table' and placed.err then redis.call('XADD', inbox, '*', 'm', wire, 'e', epoch) end
  redis.call('SADD', roles, role)
end

-- The open turn `id` if this consumer still holds it under this fence, or nil.
local function held_turn(id, consumer, fence)
  local text = redis.call('HGET', turns, id)
  if not text then return nil end
  local turn = cjson.decode(text)
  if turn.consumer ~= consumer or turn.fence ~= tonumber(fence) then return nil end
  return turn
end

-- Acknowledge a turn's deliveries and forget it.
local function close_turn(id, turn, inbox)
  for _, entry in ipairs(turn.entries) do
    redis.call('XACK', inbox, turn.role, entry)
    redis.call('XDEL', inbox, entry)
  end
  redis.call('HDEL', turns, id)
end
