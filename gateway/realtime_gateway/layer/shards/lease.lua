-- Whether a process lives.
--
-- KEYS  1 what it last said of itself
-- Returns 1 or 0
return redis.call('EXISTS', KEYS[1])
