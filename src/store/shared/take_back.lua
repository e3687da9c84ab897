#!lua flags=allow-oom
-- Takes a command back that nobody has begun, or gives its result.
-- KEYS: commands, begun:ID, done:ID
-- ARGV: the entry, id, milliseconds that a mark is kept, entries before it that are looked at as well
local result = redis.call('GET', KEYS[3])
if result then
    return {'DONE', result}
end
local mark = 'taken back'
if not redis.call('SET', KEYS[2], mark, 'NX', 'PX', ARGV[3]) and redis.call('GET', KEYS[2]) ~= mark then
    return {'BEGUN', ''}
end
-- The mark is forgotten by and by. A call that was made twice has left two entries.
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', ARGV[4])) do
    for index = 1, #entry[2], 2 do
        if entry[2][index] == 'id' then
            if entry[2][index + 1] == ARGV[2] then
                redis.call('XDEL', KEYS[1], entry[1])
            end
            break
        end
    end
end
return {'TAKEN', ''}
