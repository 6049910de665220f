-- How calls failed lately. KEYS 9: hash of '<ms> <error>,…' by call. ARGV: what to do ('add', 'forget', 'look'), the
-- call, the error's hash, ms a failure counts, most failures kept of a call,
-- token of this call. Answers each call's worst count.
local failures, now, kept = KEYS[9], clock_ms(), tonumber(ARGV[4])
if ARGV[1] == 'forget' then
  redis.call('HDEL', failures, ARGV[2])
elseif ARGV[1] == 'add' and not answered(ARGV[6]) then
  remember(ARGV[6], '')
  local earlier = redis.call('HGET', failures, ARGV[2]) or ''
  redis.call('HSET', failures, ARGV[2], string.format('%.0f', now) .. ' ' .. ARGV[3] .. ',' .. earlier)
  redis.call('PEXPIRE', failures, kept)
end

local out = {}
local all = redis.call('HGETALL', failures)
for i = 1, #all, 2 do
  local counts, worst, recent = {}, 0, {}
  for at, error in string.gmatch(all[i + 1], '(%d+) (%x+),') do
    if tonumber(at) > now - kept and #recent < tonumber(ARGV[5]) then
      recent[#recent + 1] = at .. ' ' .. error .. ','
      counts[error] = (counts[error] or 0) + 1
      worst = math.max(worst, counts[error])
    end
  end
  local text = table.concat(recent)
  if worst == 0 then
    redis.call('HDEL', failures, all[i])
  else
    if text ~= all[i + 1] then redis.call('HSET', failures, all[i], text) end
    out[#out + 1] = all[i]
    out[#out + 1] = worst
  end
end
return {'ok', out}
