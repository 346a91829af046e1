-- Give messages back to the head of their queue: they were taken for receivers that went away.
--
-- KEYS  1 list, 2 hash of what this process has taken and has not said to have: number of the call → entry
-- ARGV  1 expiry in ms, 2 pub/sub channel that wakes workers, then numbers of calls, the newest first
-- Returns how many messages went back. One whose number is not in the hash is back already, or was never taken as far
-- as this server knows.
local count = 0
for n = 3, #ARGV do
  local entry = redis.call('HGET', KEYS[2], ARGV[n])
  if entry then
    redis.call('LPUSH', KEYS[1], entry)
    redis.call('HDEL', KEYS[2], ARGV[n])
    count = count + 1
  end
end
if count > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1] + 1000)
  redis.call('PUBLISH', ARGV[2], '')
end
return count
