-- Take the oldest message of a queue that has not expired.
--
-- KEYS  1 list
-- ARGV  1 expiry in ms
-- Returns {time of queueing in ms, bytes, age in ms}, or {} when there is none; and behind that, where messages that
--   had expired were dropped, how many.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expired = 0
while true do
  local entry = redis.call('LPOP', KEYS[1])
  if not entry then return expired > 0 and {expired} or {} end
  local ms, bytes_start = string.match(entry, '^(%d+) ()')
  if tonumber(ms) > now - tonumber(ARGV[1]) then
    local age_ms = string.format('%.0f', now - tonumber(ms))
    return {ms, string.sub(entry, bytes_start), age_ms, expired > 0 and expired or nil}
  end
  expired = expired + 1
end
