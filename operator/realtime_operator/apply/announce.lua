-- Bring a shard up to a host list, only ever upwards, as every process of the data plane does it.
--
-- KEYS  1 epoch, 2 host list
-- ARGV  1 epoch, 2 host list of that epoch as JSON, 3 the pub/sub channel that announces it
-- Returns the shard's epoch now
local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
if epoch < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[2], ARGV[2])
  redis.call('PUBLISH', ARGV[3], ARGV[2])
  return tonumber(ARGV[1])
end
return epoch
