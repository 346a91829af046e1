-- Which groups have normal channels on this shard.
--
-- KEYS  1 index of such groups
-- Returns their names, and perhaps some of groups whose members have expired.
return redis.call('ZRANGE', KEYS[1], 0, -1)
