-- Take over a group's normal channels from an earlier owner, whatever has been changed here meanwhile.
--
-- KEYS  1 epoch, 2 index of groups, 3 sorted set of the group's members
-- ARGV  1 the epoch that moved the group, 2 group expiry in ms, 3 group, then channel and score of each member
-- Returns 1, or 0 when this shard is at another epoch. Of two words on one channel the later one holds.
if tonumber(redis.call('GET', KEYS[1]) or '0') ~= tonumber(ARGV[1]) then return 0 end
for n = 4, #ARGV, 2 do
  local known = redis.call('ZSCORE', KEYS[3], ARGV[n])
  if not known or math.abs(tonumber(ARGV[n + 1])) > math.abs(tonumber(known)) then
    redis.call('ZADD', KEYS[3], ARGV[n + 1], ARGV[n])
  end
end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
