-- Store a batch of messages, in order, if this shard is at the writer's epoch.
--
-- KEYS  1 epoch, 2 hosts document, last the data-set word, and between them two for each message:
--         group  stream · sorted set of the normal channels in the group
--         inbox  stream · the key that exists while the channel's mailbox is full
--         queue  list   · the last sequence number this sender put into the queue
-- ARGV  1 writer's epoch, 2 history in ms, 3 history in entries, 4 life of an untouched stream in s,
--       5 expiry of a queued message in ms, 6 group expiry in ms, then five for each message:
--         kind (g, i, q) · bytes · pub/sub channel · capacity · sequence; and last the data-set word that the writer knows
-- Returns {"OLD", epoch} when the shard is older, or has other data than the writer knows,
--   {"NEW", epoch, document} when it is newer, and stores nothing in either case;
--   else {"OK", …} with one answer for each message: the stream id (for a queue 1, or 0 when it had the message already),
--   or {id, member, …} when normal channels are in the group, or "FULL", or an error. After an error that concerns the
--   server, not the key, the rest of the batch gets the same error without a try, so that a later message never overtakes
--   an earlier one.
--
-- An entry of a stream has the fields e, its bytes, and l, its link: id and epoch of the entry before it, "0-0/0" for the
-- first. What is pushed is id, link and bytes with a space between, so that a reader sees that nothing is missing.
local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
local own = tonumber(ARGV[1])
-- Other data: what this writer sent before has to come again, and before anything new. (Two GETs, since MGET would be
-- one more right that a site's account needs.)
if epoch < own or (epoch == own and (redis.call('GET', KEYS[#KEYS]) or '') ~= ARGV[#ARGV]) then return {'OLD', epoch} end
if epoch > own then return {'NEW', epoch, redis.call('GET', KEYS[2]) or ''} end

local history_ms, history_entries, life_s = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local expiry_ms, group_expiry_ms = tonumber(ARGV[5]), tonumber(ARGV[6])

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local links = {} -- stream → link for the entry that comes next, once this batch has written to it

local function link_in(stream)
  local newest = redis.pcall('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  if newest.err then return nil, newest end
  if not newest[1] then return '0-0/0' end
  if newest[1][2][1] ~= 'e' then return newest[1][1] .. '/0' end -- no entry of ours
  -- The epoch stands in bytes 2 to 5 of the envelope.
  local epoch = 0
  for _, byte in ipairs({string.byte(newest[1][2][2], 3, 6)}) do epoch = epoch * 256 + byte end
  return string.format('%s/%.0f', newest[1][1], epoch)
end

local function publish(stream, bytes, topic)
  local link, problem = links[stream], nil
  if not link then
    link, problem = link_in(stream)
    if problem then return problem end
  end
  local id = redis.pcall('XADD', stream, 'MAXLEN', '~', history_entries, '*', 'e', bytes, 'l', link)
  if type(id) == 'table' then return id end
  links[stream] = id .. '/' .. ARGV[1]
  local ms = tonumber(string.match(id, '^%d+'))
  if string.sub(id, 1, 10) ~= string.sub(link, 1, 10) then
    -- The first entry of a second: trimming and the life of the stream need not be finer.
    redis.call('XTRIM', stream, 'MINID', '~', string.format('%.0f', ms - history_ms))
    redis.call('EXPIRE', stream, life_s)
  end
  redis.call('PUBLISH', topic, id .. ' ' .. link .. ' ' .. bytes)
  return id, ms
end

local since -- when the members of a group that count were added, once a message needs it

local function publish_to_group(stream, members, bytes, topic)
  -- Before anything is stored: where the key has another type the message is refused, and none but it.
  since = since or string.format('(%.0f', now_ms() - group_expiry_ms)
  local channels = redis.pcall('ZRANGEBYSCORE', members, since, '+inf')
  if channels.err then return channels end
  local id, ms = publish(stream, bytes, topic)
  if not ms or #channels == 0 then return id end
  table.insert(channels, 1, id)
  return channels
end

local function enqueue(queue, mark, bytes, topic, capacity, sequence)
  local last = redis.pcall('GET', mark)
  if type(last) == 'table' then return last end
  if tonumber(last or '-1') >= tonumber(sequence) then return 0 end
  local ms = now_ms()
  local length = redis.pcall('LLEN', queue)
  if type(length) == 'table' then return length end
  while length >= tonumber(capacity) do
    -- What has expired takes no room; entries are in the order of their times.
    local oldest = redis.call('LINDEX', queue, 0)
    if not oldest or tonumber(string.match(oldest, '^%d+')) > ms - expiry_ms then break end
    redis.call('LPOP', queue)
    length = length - 1
  end
  if length >= tonumber(capacity) then return 'FULL' end
  local pushed = redis.pcall('RPUSH', queue, string.format('%.0f ', ms) .. bytes)
  if type(pushed) == 'table' then return pushed end
  redis.call('PEXPIRE', queue, string.format('%.0f', expiry_ms + 1000))
  redis.call('SET', mark, sequence, 'PX', string.format('%.0f', history_ms * 2))
  redis.call('PUBLISH', topic, '')
  return 1
end

local answers = {'OK'}
local failed = false
for n = 0, (#KEYS - 3) / 2 - 1 do
  local first, second, a = KEYS[3 + 2 * n], KEYS[4 + 2 * n], 6 + 5 * n
  local kind, bytes, topic = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
  local answer = failed
  if not answer then
    if kind == 'g' then
      answer = publish_to_group(first, second, bytes, topic)
    elseif kind == 'q' then
      answer = enqueue(first, second, bytes, topic, ARGV[a + 4], ARGV[a + 5])
    elseif redis.call('EXISTS', second) == 1 then
      answer = 'FULL'
    else
      answer = publish(first, bytes, topic)
    end
    if type(answer) == 'table' and answer.err and not string.find(answer.err, 'WRONGTYPE', 1, true) then
      failed = answer
    end
  end
  answers[n + 2] = answer
end
return answers
