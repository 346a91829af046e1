-- Take the oldest message of a queue that has not expired, or one that was taken before and whose answer never arrived.
--
-- KEYS  1 list, 2 hash of what this process has taken and has not said to have: number of the call → entry
-- ARGV  1 expiry in ms, 2 number of this call, 3 "1", or "0" to take nothing new, 4 the lowest number of a call that
--       still waits for its answer: those of a connection that broke are all below it,
--       5 how many numbers below that follow of calls whose messages are on their way to a receiver, or back; and behind
--       those, numbers of calls whose messages have arrived
-- Returns {time of queueing in ms, bytes, age in ms}, or {} when there is none; and behind that, where messages that
--   had expired were dropped, how many.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expired = 0
local known, last_known = {}, 5 + tonumber(ARGV[5])
for n = 6, last_known do known[ARGV[n]] = true end
for n = last_known + 1, #ARGV do redis.call('HDEL', KEYS[2], ARGV[n]) end

local function left_behind()
  local taken, oldest, entry = redis.call('HGETALL', KEYS[2]), tonumber(ARGV[4]), nil
  for n = 1, #taken, 2 do
    local number = tonumber(taken[n])
    if number < oldest and not known[taken[n]] then oldest, entry = number, taken[n + 1] end
  end
  if entry then redis.call('HDEL', KEYS[2], string.format('%.0f', oldest)) end
  return entry
end

local function take()
  while true do
    local entry = redis.call('LPOP', KEYS[1])
    if not entry then return nil end
    if tonumber(string.match(entry, '^%d+')) > now - tonumber(ARGV[1]) then return entry end
    expired = expired + 1
  end
end

local entry = left_behind() or ARGV[3] == '1' and take()
if not entry then return expired > 0 and {expired} or {} end
redis.call('HSET', KEYS[2], ARGV[2], entry)
redis.call('PEXPIRE', KEYS[2], ARGV[1])
local ms, bytes_start = string.match(entry, '^(%d+) ()')
local age_ms = string.format('%.0f', math.max(now - tonumber(ms), 0))
return {ms, string.sub(entry, bytes_start), age_ms, expired > 0 and expired or nil}
