-- Which groups have normal channels on this shard.
--
-- KEYS  1 index of such groups
-- Returns their names.
return redis.call('SMEMBERS', KEYS[1])
