-- Say how many places a process holds of several things, whatever others hold of them.
--
-- KEYS  as in places.lua, one for each thing
-- ARGV  1 process, 2 life in ms, 3… how many places it holds of each, in the order of the keys
-- Returns how many things there were
local time = redis.call('TIME')
local until_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2])
for n, key in ipairs(KEYS) do
  if ARGV[n + 2] == '0' then
    redis.call('HDEL', key, ARGV[1])
  else
    redis.call('HSET', key, ARGV[1], ARGV[n + 2] .. ' ' .. until_ms)
    redis.call('PEXPIRE', key, ARGV[2])
  end
end
return #KEYS
