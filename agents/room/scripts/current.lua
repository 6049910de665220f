-- What of a hash of '<ms> <body>' is current; the rest is dropped. KEYS 9: the hash. ARGV: ms a time may be past.
local now, out = clock_ms(), {}
local all = redis.call('HGETALL', KEYS[9])
for i = 1, #all, 2 do
  local at, body = string.match(all[i + 1], '^(%d+) (.*)$')
  if at and tonumber(at) >= now - tonumber(ARGV[1]) then
    out[#out + 1] = tonumber(at) - now
    out[#out + 1] = body
  else
    redis.call('HDEL', KEYS[9], all[i])
  end
end
return {'ok', out}
