#!lua
-- Saves a batch whole or not at all.
-- KEYS: documents, meta, lease, log
-- ARGV: fence, number of the commit, revision and fence and number of the commit before ('' for all three puts these documents in the
--       place of all), revision, format, entries that the log keeps, number of documents, name and bytes of each, then the names of
--       those that go
local fence, writes, after, revision, format = ARGV[1], ARGV[2], ARGV[3], ARGV[6], ARGV[7]
local lease = redis.call('GET', KEYS[3])
local holder = lease and string.match(lease, '^(%d+):') or '0'
if holder ~= fence then
    return {'FENCED', lease or ''}
end
local meta = redis.call('HMGET', KEYS[2], 'revision', 'fence', 'writes', 'format')
local found, found_fence, found_writes = meta[1] or '0', meta[2] or '0', meta[3] or '0'
if after ~= '' then
    local is_there = found == after and found_fence == ARGV[4] and found_writes == ARGV[5]
    -- The answer to an earlier one of the same leader was lost. Without a lease nothing tells whose it was.
    local number = tonumber(found_writes)
    local was_ours = fence ~= '0' and found_fence == fence and number > tonumber(ARGV[5]) and number <= tonumber(writes)
    if not (is_there or was_ours) or (meta[4] or format) ~= format then
        return {'DIVERGED', found, found_fence, found_writes}
    end
else
    redis.call('DEL', KEYS[1])
end
local names = {}
local at = 10
for _ = 1, tonumber(ARGV[9]) do
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    names[#names + 1] = ARGV[at]
    at = at + 2
end
for index = at, #ARGV do
    redis.call('HDEL', KEYS[1], ARGV[index])
    names[#names + 1] = ARGV[index]
end
redis.call('HSET', KEYS[2], 'revision', revision, 'fence', fence, 'writes', writes, 'format', format)
local kept = #names == 0 and '[]' or cjson.encode(names)
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', 'after', found .. ':' .. found_fence .. ':' .. found_writes,
    'revision', revision, 'fence', fence, 'writes', writes, 'whole', after == '' and '1' or '0', 'names', kept)
return {'SAVED', revision}
