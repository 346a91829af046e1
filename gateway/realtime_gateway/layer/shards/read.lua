-- Read a page of a stream.
--
-- KEYS  1 epoch, 2 stream
-- ARGV  1 where to start, as XRANGE takes it ("-" or "(id"), 2 entries and 3 bytes after which a page ends
-- Returns {epoch, server time in ms, 1 if the page was ended by a bound and more may follow, else 0,
--          id of the stream's last entry or "0-0", {{id, link, bytes}, …}}; publish.lua says what a link is
--          of what is no entry of ours, whichever of the two it lacks is ""
local function field(values, name)
  for n = 1, #values, 2 do
    if values[n] == name then return values[n + 1] end
  end
  return ''
end

local entries, bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local page, size, start, more = {}, 0, ARGV[1], 1
while #page < entries and size < bytes do
  -- One at a time: how long the next one is cannot be asked for.
  local entry = redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', 1)[1]
  if not entry then
    more = 0
    break
  end
  local raw = field(entry[2], 'e')
  page[#page + 1] = {entry[1], field(entry[2], 'l'), raw}
  size = size + #raw
  start = '(' .. entry[1]
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local time = redis.call('TIME')
return {
  tonumber(redis.call('GET', KEYS[1]) or '0'),
  string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)),
  more,
  last and last[1] or '0-0',
  page,
}
