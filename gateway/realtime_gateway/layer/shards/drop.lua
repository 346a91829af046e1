-- Forget the normal channels of groups that this shard does not own any more.
--
-- KEYS  1 epoch, 2 index of groups, then a sorted set of members for each group
-- ARGV  1 the epoch in which it does not own them, then each group
-- Returns 1, or 0 when this shard is at another epoch.
if tonumber(redis.call('GET', KEYS[1]) or '0') ~= tonumber(ARGV[1]) then return 0 end
for n = 3, #KEYS do redis.call('DEL', KEYS[n]) end
for n = 2, #ARGV do redis.call('ZREM', KEYS[2], ARGV[n]) end
return 1
