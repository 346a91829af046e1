-- Bring a shard up to a host list from outside the data plane, only ever upwards.
--
-- KEYS  1 epoch, 2 hosts document
-- ARGV  1 epoch, 2 document of that epoch, 3 the pub/sub channel that announces it,
--       4 the epoch that must be there now, or "" for any that is older
-- Returns {1 when it was written, else 0; the epoch now; its document or ""}
local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
local expected = tonumber(ARGV[4])
if epoch < tonumber(ARGV[1]) and (not expected or epoch == expected) then
  redis.call('SET', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[2], ARGV[2])
  redis.call('PUBLISH', ARGV[3], ARGV[2])
  return {1, tonumber(ARGV[1]), ARGV[2]}
end
return {0, epoch, redis.call('GET', KEYS[2]) or ''}
