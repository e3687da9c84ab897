#!lua
-- Saves a batch whole or not at all.
-- KEYS: documents, meta, lease, log
-- ARGV: fence, revision before ('' puts these documents in the place of all), revision, format, entries that the log keeps,
--       number of documents, name and bytes of each, then the names of those that go
local fence, after, revision, format = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local lease = redis.call('GET', KEYS[3])
local holder = lease and string.match(lease, '^(%d+):') or '0'
if holder ~= fence then
    return {'FENCED', lease or ''}
end
local meta = redis.call('HMGET', KEYS[2], 'revision', 'fence', 'format')
local found, found_fence, found_format = meta[1] or '0', meta[2] or '0', meta[3] or format
if after ~= '' then
    local ours = found_fence == fence and tonumber(found) >= tonumber(after) and tonumber(found) <= tonumber(revision)
    if (found ~= after and not ours) or found_format ~= format then
        return {'DIVERGED', found}
    end
else
    redis.call('DEL', KEYS[1])
end
local names = {}
local at = 7
for _ = 1, tonumber(ARGV[6]) do
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    names[#names + 1] = ARGV[at]
    at = at + 2
end
for index = at, #ARGV do
    redis.call('HDEL', KEYS[1], ARGV[index])
    names[#names + 1] = ARGV[index]
end
redis.call('HSET', KEYS[2], 'revision', revision, 'fence', fence, 'format', format)
local kept = #names == 0 and '[]' or cjson.encode(names)
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[5], '*', 'from', found, 'revision', revision, 'fence', fence,
    'whole', after == '' and '1' or '0', 'names', kept)
return {'SAVED', revision}
