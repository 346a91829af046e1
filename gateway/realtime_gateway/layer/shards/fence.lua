-- Bring this shard up to an epoch, and say what it is. Only ever upwards.
--
-- KEYS  1 epoch, 2 hosts document, 3 data-set word
-- ARGV  1 epoch, 2 document of that epoch ("" at epoch 0), 3 a random word for a data set that has none,
--       4 the pub/sub channel that announces it
-- Returns {epoch now, its document or "", data-set word, server time in ms}
local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
if epoch < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[2], ARGV[2])
  redis.call('PUBLISH', ARGV[4], ARGV[2])
  epoch = tonumber(ARGV[1])
end
-- Without memory Redis refuses a SET even where NX would keep it from writing: whoever comes back may read all the same.
if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('SET', KEYS[3], ARGV[3]) end
local time = redis.call('TIME')
local ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return {epoch, redis.call('GET', KEYS[2]) or '', redis.call('GET', KEYS[3]), ms}
