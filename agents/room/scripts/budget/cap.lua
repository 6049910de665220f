-- The User's caps for the room. ARGV: nano-dollars, tokens; '' leaves one as it is.
for i, name in ipairs({'#cap_nano', '#cap_tokens'}) do
  if ARGV[i] ~= '' then redis.call('HSET', account, name, ARGV[i]) end
end
return {'ok'}
