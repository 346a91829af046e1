-- Take tokens out of a bucket that fills by this server's clock. A bucket that is full again is gone by itself.
--
-- KEYS  1 the time in µs at which the bucket was last empty; absent, it is full
-- ARGV  1 µs in which a token comes, 2 how many tokens fit, 3 how many are wanted
-- Returns {how many are taken, µs until there is another one, or 0 where all are taken}
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local token, full, wanted = tonumber(ARGV[1]), ARGV[1] * ARGV[2], tonumber(ARGV[3])
local empty_at = tonumber(redis.call('GET', KEYS[1]) or '0')
-- It may be later than now: a new primary has another clock.
empty_at = math.max(math.min(empty_at, now), now - full)
local taken = math.min(wanted, math.floor((now - empty_at) / token + 0.001))
if taken == 0 then return {0, math.ceil(empty_at + token - now)} end
empty_at = empty_at + taken * token
local life = math.max(1, math.ceil((empty_at + full - now) / 1000))
redis.call('SET', KEYS[1], string.format('%.3f', empty_at), 'PX', string.format('%.0f', life))
return {taken, taken < wanted and math.max(0, math.ceil(empty_at + token - now)) or 0}
