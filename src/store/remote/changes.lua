#!lua flags=no-writes
-- What was saved after an entry of the log, or everything where the log does not reach back so far.
-- KEYS: documents, meta, log
-- ARGV: the last entry that was seen ('' for none), where it stood after it (revision:fence:number of the commit)
local meta = redis.call('HMGET', KEYS[2], 'revision', 'fence', 'writes', 'format')
local revision, fence, writes, format = meta[1] or '0', meta[2] or '0', meta[3] or '0', meta[4] or ''
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
local last = newest[1] and newest[1][1] or '0-0'
local function place(revision, fence, writes)
    return revision .. ':' .. fence .. ':' .. writes
end
if ARGV[1] ~= '' then
    local at, names, seen, is_whole = ARGV[2], {}, {}, false
    for _, entry in ipairs(redis.call('XRANGE', KEYS[3], '(' .. ARGV[1], '+')) do
        local fields = {}
        for index = 1, #entry[2], 2 do
            fields[entry[2][index]] = entry[2][index + 1]
        end
        if fields.after ~= at or fields.whole == '1' then
            is_whole = true
            break
        end
        at = place(fields.revision, fields.fence, fields.writes)
        for _, name in ipairs(cjson.decode(fields.names)) do
            if not seen[name] then
                seen[name] = true
                names[#names + 1] = name
            end
        end
    end
    if not is_whole and at == place(revision, fence, writes) then
        local answer = {'CHANGES', revision, fence, writes, format, last}
        for _, name in ipairs(names) do
            answer[#answer + 1] = name
            answer[#answer + 1] = redis.call('HGET', KEYS[1], name)
        end
        return answer
    end
end
local answer = {'WHOLE', revision, fence, writes, format, last}
for _, part in ipairs(redis.call('HGETALL', KEYS[1])) do
    answer[#answer + 1] = part
end
return answer
