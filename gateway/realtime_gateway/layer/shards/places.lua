-- Hold places of something that has so many over all processes. A process that does not say again that it holds them
-- has let them go.
--
-- KEYS  1 hash: process → "<places> <ms by this server's clock until which it holds them>"
-- ARGV  1 process, 2 how many it wants to hold, 3 how many there are, or 0 to hold them whatever others do, 4 life in ms
-- Returns 1, or 0 where there are too few and it holds what it held
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wanted, most, life = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local held, others = redis.call('HGETALL', KEYS[1]), 0
for n = 1, #held, 2 do
  local places, expires_at = string.match(held[n + 1], '^(%d+) (%d+)$')
  if held[n] ~= ARGV[1] then
    -- A new primary has another clock: nothing is held for longer than a life from now.
    if tonumber(expires_at) <= now or tonumber(expires_at) > now + 2 * life then
      redis.call('HDEL', KEYS[1], held[n])
    else
      others = others + places
    end
  end
end
if most > 0 and others + wanted > most then return 0 end
if wanted == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. string.format('%.0f', now + life))
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1
