-- Say that a channel's mailbox is full, or that it is not any more.
--
-- KEYS  1 the marker
-- ARGV  1 its life in ms, or 0 to end it
-- Returns "OK", or the number of markers that were ended
if ARGV[1] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
