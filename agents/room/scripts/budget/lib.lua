-- Common to the budget's scripts: put before each of them. All keys share the tag {minilab}, so that one script may
-- look at the room's account and at the installation's.
local account, open, room_window, room_line = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local all, all_window, all_line, reserved = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local SLOTS = 30 -- parts of a rate window
local DAY = 86400000
local FIELDS = {'calls', 'input', 'cached', 'output', 'nano', 'guessed'}

local function clock_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Whole numbers as text: Lua would write big ones with an exponent.
local function whole(number)
  return string.format('%.0f', number)
end

-- What the whole installation spent today (UTC), nano-dollars.
local function spent_today(now)
  local fields = redis.call('HMGET', all, 'day', 'nano')
  if fields[1] ~= whole(math.floor(now / DAY)) then return 0 end
  return tonumber(fields[2] or '0')
end

-- Book figures (in the order of FIELDS) to a role, the room and the day.
local function book(role, figures, now)
  for i, name in ipairs(FIELDS) do
    if figures[i] ~= 0 then redis.call('HINCRBY', account, name .. ':' .. role, whole(figures[i])) end
  end
  redis.call('HINCRBY', account, '#nano', whole(figures[5]))
  redis.call('HINCRBY', account, '#tokens', whole(figures[2] + figures[4]))
  local today = whole(math.floor(now / DAY))
  if redis.call('HGET', all, 'day') ~= today then redis.call('HSET', all, 'day', today, 'nano', 0) end
  redis.call('HINCRBY', all, 'nano', whole(figures[5]))
end

-- An open reservation: '<expires> <slot> <tokens> <nano> <role>'.
local function parsed(text)
  local expires, slot, tokens, nano, role = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (.*)$')
  return {expires = tonumber(expires), slot = slot, tokens = tonumber(tokens), nano = tonumber(nano), role = role}
end

-- What is reserved in this room. One whose worker died is booked at its estimate: the endpoint counts it too.
local function in_flight(now)
  local tokens, nano, last = 0, 0, 0
  local entries = redis.call('HGETALL', open)
  for i = 1, #entries, 2 do
    local entry = parsed(entries[i + 1])
    if entry.expires < now then
      book(entry.role, {1, entry.tokens, 0, 0, entry.nano, entry.nano}, now)
      redis.call('HDEL', open, entries[i])
    else
      tokens, nano = tokens + entry.tokens, nano + entry.nano
      last = math.max(last, entry.expires)
    end
  end
  return tokens, nano, last
end

-- Tell the installation what this room has in flight: '<expires> <nano>'.
local function announce(room, nano, expires)
  if nano > 0 then
    redis.call('HSET', reserved, room, whole(expires) .. ' ' .. whole(nano))
  else
    redis.call('HDEL', reserved, room)
  end
end

-- The caps in force: what the User set in the room, else what the settings say; '' is no cap.
local function caps(usd, tokens)
  local own = redis.call('HMGET', account, '#cap_nano', '#cap_tokens')
  return own[1] or usd, own[2] or tokens
end
