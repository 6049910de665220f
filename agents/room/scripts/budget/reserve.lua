-- ARGV: id, role, room, tokens, nano, ms until it lapses, room's cap in nano-dollars and in tokens, the day's cap, the
-- room's requests and tokens per window, the installation's, ms of a window. '' is no bound.
local id, role, room = ARGV[1], ARGV[2], ARGV[3]
local tokens, nano = tonumber(ARGV[4]), tonumber(ARGV[5])
local window = tonumber(ARGV[14])
local POLL, GRACE, FORGET = 150, 5000, 3600000
local now = clock_ms()
local width = math.max(math.floor(window / SLOTS), 1)
local slot = math.floor(now / width)

-- A line holds '<start> <number> <deadline>' by ticket; who doesn't come back by the deadline has lost the place.
-- Starts are those of start-time fair queueing: who asks often stands behind who doesn't; equals go by number.
local function place(line, ticket)
  local start, number, deadline = string.match(redis.call('HGET', line, ticket) or '', '^(%d+) (%d+) (%d+)$')
  return start and {start = tonumber(start), number = tonumber(number), deadline = tonumber(deadline)}
end

local function is_ticket(name) return string.sub(name, 1, 1) ~= '#' end

-- Take a place, or keep it for ms and some grace.
local function stand(line, who, ms)
  local at = place(line, id)
  if not at then
    local known = redis.call('HMGET', line, '#virtual', '#last:' .. who)
    at = {start = math.max(tonumber(known[1] or '0'), tonumber(known[2] or '0'))}
    at.number = redis.call('HINCRBY', line, '#number', 1)
    redis.call('HSET', line, '#last:' .. who, whole(at.start + 1))
  end
  redis.call('HSET', line, id, whole(at.start) .. ' ' .. whole(at.number) .. ' ' .. whole(now + ms + GRACE))
  redis.call('PEXPIRE', line, FORGET)
end

-- Whether it is this ticket's turn; if somebody stands in line, it has a place there now.
local function my_turn(line, who)
  if redis.call('EXISTS', line) == 0 then return true end
  stand(line, who, POLL)
  local first, first_id = nil, nil
  for _, ticket in ipairs(redis.call('HKEYS', line)) do
    if is_ticket(ticket) then
      local at = place(line, ticket)
      if at.deadline < now then
        redis.call('HDEL', line, ticket)
      elseif not first or at.start < first.start or (at.start == first.start and at.number < first.number) then
        first, first_id = at, ticket
      end
    end
  end
  return first_id == id
end

local function leave(line)
  local at = place(line, id)
  if not at then return end
  redis.call('HDEL', line, id)
  for _, ticket in ipairs(redis.call('HKEYS', line)) do
    if is_ticket(ticket) then
      redis.call('HSET', line, '#virtual', whole(at.start))
      return
    end
  end
  redis.call('DEL', line)
end

-- ms until a window has room for one more request and the tokens. What is larger than the window waits until it is empty.
local function window_wait(key, requests_limit, tokens_limit)
  if requests_limit == '' and tokens_limit == '' then return 0 end
  local used, by_slot, slots = {r = 0, t = 0}, {r = {}, t = {}}, {}
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local kind, at = string.sub(fields[i], 1, 1), tonumber(string.sub(fields[i], 2))
    if at <= slot - SLOTS - 1 then
      redis.call('HDEL', key, fields[i])
    else
      used[kind] = used[kind] + tonumber(fields[i + 1])
      by_slot[kind][at] = tonumber(fields[i + 1])
      if kind == 'r' then slots[#slots + 1] = at end
    end
  end
  local most_r = requests_limit ~= '' and tonumber(requests_limit) - 1 or math.huge
  local most_t = tokens_limit ~= '' and math.max(tonumber(tokens_limit) - tokens, 0) or math.huge
  table.sort(slots)
  local ms = 0
  for _, at in ipairs(slots) do
    if used.r <= most_r and used.t <= most_t then break end
    used.r = used.r - (by_slot.r[at] or 0)
    used.t = used.t - (by_slot.t[at] or 0)
    ms = math.max((at + SLOTS + 1) * width - now, 1)
  end
  return ms
end

local function use(key, requests_limit, tokens_limit)
  if requests_limit == '' and tokens_limit == '' then return end
  redis.call('HINCRBY', key, 'r' .. whole(slot), 1)
  redis.call('HINCRBY', key, 't' .. whole(slot), whole(tokens))
  redis.call('PEXPIRE', key, window * 2 + 1000)
end

local flying_tokens, flying_nano, last = in_flight(now)
if redis.call('HEXISTS', open, id) == 1 then return {'ok'} end

-- 1. spent is spent
local cap_nano, cap_tokens = caps(ARGV[7], ARGV[8])
local known = redis.call('HMGET', account, '#nano', '#tokens', '#seen')
local spent_nano, spent_tokens = tonumber(known[1] or '0'), tonumber(known[2] or '0')
local seen = cap_nano .. ' ' .. cap_tokens
if known[3] ~= seen then redis.call('HSET', account, '#seen', seen) end -- for those who only look
local today = spent_today(now)
local over = (cap_nano ~= '' and spent_nano >= tonumber(cap_nano) and 'room')
  or (cap_tokens ~= '' and spent_tokens >= tonumber(cap_tokens) and 'room')
  or (ARGV[9] ~= '' and today >= tonumber(ARGV[9]) and 'day')
if over then
  leave(room_line)
  leave(all_line)
  return {'over', over}
end

-- 2. the room's line, and what the room waits for. What is in flight may turn out cheaper: wait for its bill.
if not my_turn(room_line, role) then return {'wait', POLL} end
local ms = math.max(tonumber(redis.call('HGET', all, 'not_before') or '0') - now, 0)
if (cap_nano ~= '' and spent_nano + flying_nano >= tonumber(cap_nano))
  or (cap_tokens ~= '' and spent_tokens + flying_tokens >= tonumber(cap_tokens)) then
  ms = math.max(ms, POLL)
end
ms = math.max(ms, window_wait(room_window, ARGV[10], ARGV[11]))
if ms > 0 then
  stand(room_line, role, ms)
  return {'wait', ms}
end

-- 3. the installation's line, in which each room stands once
if not my_turn(all_line, room) then
  stand(room_line, role, POLL)
  return {'wait', POLL}
end
if ARGV[9] ~= '' then
  local others = redis.call('HGETALL', reserved)
  for i = 1, #others, 2 do
    local expires, amount = string.match(others[i + 1], '^(%d+) (%d+)$')
    if tonumber(expires) >= now then today = today + tonumber(amount) end
  end
  if today >= tonumber(ARGV[9]) then ms = POLL end
end
ms = math.max(ms, window_wait(all_window, ARGV[12], ARGV[13]))
if ms > 0 then
  stand(room_line, role, ms)
  stand(all_line, room, ms)
  return {'wait', ms}
end

-- 4. granted
leave(room_line)
leave(all_line)
local expires = now + tonumber(ARGV[6])
redis.call('HSET', open, id, table.concat({whole(expires), whole(slot), whole(tokens), whole(nano), role}, ' '))
announce(room, flying_nano + nano, math.max(last, expires))
use(room_window, ARGV[10], ARGV[11])
use(all_window, ARGV[12], ARGV[13])
return {'ok'}
