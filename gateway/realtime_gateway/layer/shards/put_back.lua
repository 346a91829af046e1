-- Give a message back to the head of its queue: it was taken for a receiver that went away.
--
-- KEYS  1 list
-- ARGV  1 time of queueing in ms, 2 bytes, 3 expiry in ms, 4 pub/sub channel that wakes workers
-- Returns the queue's length.
local length = redis.call('LPUSH', KEYS[1], ARGV[1] .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3] + 1000)
redis.call('PUBLISH', ARGV[4], '')
return length
