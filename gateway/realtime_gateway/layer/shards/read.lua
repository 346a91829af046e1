-- Read a page of a stream.
--
-- KEYS  1 epoch, 2 stream
-- ARGV  1 where to start, as XRANGE takes it ("-" or "(id"), 2 how many entries
-- Returns {epoch, server time in ms, id of the first entry or "", {{id, bytes}, …}}
local entries = redis.call('XRANGE', KEYS[2], ARGV[1], '+', 'COUNT', ARGV[2])
local page = {}
for n, entry in ipairs(entries) do page[n] = {entry[1], entry[2][2]} end
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
local time = redis.call('TIME')
return {
  tonumber(redis.call('GET', KEYS[1]) or '0'),
  string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)),
  first[1] and first[1][1] or '',
  page,
}
