-- Add a normal channel to a group, or take it out.
--
-- KEYS  1 epoch, 2 hosts document, 3 sorted set of members, 4 index of groups that have any: a sorted set by
--       the time in ms of the last change, after which a group's members live for as long as the group expiry
-- ARGV  1 writer's epoch, 2 "add" or "remove", 3 channel, 4 group expiry in ms, 5 group,
--       6 "1" while an earlier owner of the group may still hold the channel, else "0"
-- Returns {"OLD", epoch}, {"NEW", epoch, document} or {"OK"}
-- A member's score is the time of joining in ms. One that was taken out while an earlier owner may hold it keeps a
-- place with minus the time, so that what is carried over from there does not bring it back.
local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
local own = tonumber(ARGV[1])
if epoch < own then return {'OLD', epoch} end
if epoch > own then return {'NEW', epoch, redis.call('GET', KEYS[2]) or ''} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '(0', string.format('%.0f', now - ARGV[4]))
if ARGV[6] == '0' then redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '0') end
if ARGV[2] == 'add' then
  redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[3])
elseif ARGV[6] == '1' then
  redis.call('ZADD', KEYS[3], string.format('%.0f', -now), ARGV[3])
else
  redis.call('ZREM', KEYS[3], ARGV[3])
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('PEXPIRE', KEYS[3], ARGV[4])
  redis.call('ZADD', KEYS[4], string.format('%.0f', now), ARGV[5])
  redis.call('PEXPIRE', KEYS[4], ARGV[4])
else
  redis.call('ZREM', KEYS[4], ARGV[5])
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', string.format('%.0f', now - ARGV[4]))
return {'OK'}
