-- Say that this process lives, and learn the shard's epoch.
--
-- KEYS  1 epoch, 2 hosts document, 3 processes, 4 this process's own key, 5 data-set word
-- ARGV  1 process id, 2 what it says of itself, 3 life in s, 4 the epoch it knows
-- Returns {epoch, document if newer than what it knows, else "", server time in ms, data-set word or ""}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now - ARGV[3] * 1000))
redis.call('EXPIRE', KEYS[3], ARGV[3])
redis.call('SET', KEYS[4], ARGV[2], 'EX', ARGV[3])
local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
local document = ''
if epoch > tonumber(ARGV[4]) then document = redis.call('GET', KEYS[2]) or '' end
return {epoch, document, string.format('%.0f', now), redis.call('GET', KEYS[5]) or ''}
