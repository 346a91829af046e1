-- Add a normal channel to a group, or take it out.
--
-- KEYS  1 epoch, 2 hosts document, 3 sorted set of members
-- ARGV  1 writer's epoch, 2 "add" or "remove", 3 channel, 4 group expiry in ms
-- Returns {"OLD", epoch}, {"NEW", epoch, document} or {"OK"}
local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
local own = tonumber(ARGV[1])
if epoch < own then return {'OLD', epoch} end
if epoch > own then return {'NEW', epoch, redis.call('GET', KEYS[2]) or ''} end
if ARGV[2] == 'remove' then
  redis.call('ZREM', KEYS[3], ARGV[3])
else
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now - ARGV[4]))
  redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[3])
  redis.call('PEXPIRE', KEYS[3], ARGV[4])
end
return {'OK'}
