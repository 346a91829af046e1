-- Where a stream ends now: what a reader that has just subscribed starts from.
--
-- KEYS  1 epoch, 2 stream
-- Returns {epoch, id of the last entry or "0-0", server time in ms}
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local time = redis.call('TIME')
return {
  tonumber(redis.call('GET', KEYS[1]) or '0'),
  last[1] and last[1][1] or '0-0',
  string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)),
}
