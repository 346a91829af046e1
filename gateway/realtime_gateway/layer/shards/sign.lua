-- Put the signed form of a host list in the place of the form that was read, if that is still there.
--
-- KEYS  1 hosts document
-- ARGV  1 the document as it was read, 2 the same list, signed
-- Returns 1 when it was replaced, 0 when another document has come meanwhile
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
