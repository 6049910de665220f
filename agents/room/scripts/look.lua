-- Fields of a hash, with the clock and the epoch they were seen at. KEYS 9: the hash. ARGV: fields, or none for all.
local out = {}
if #ARGV == 0 then out = redis.call('HGETALL', KEYS[9]) end
for _, field in ipairs(ARGV) do
  local text = redis.call('HGET', KEYS[9], field)
  if text then
    out[#out + 1] = field
    out[#out + 1] = text
  end
end
return {'ok', clock_ms(), current_epoch(), out}
