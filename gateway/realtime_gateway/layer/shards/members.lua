-- The normal channels of groups, as they stand.
--
-- KEYS  one sorted set of members for each group
-- Returns for each {channel, score, …}; member.lua says what a score is
local found = {}
for n, key in ipairs(KEYS) do found[n] = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end
return found
