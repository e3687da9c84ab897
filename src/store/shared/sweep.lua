#!lua flags=allow-oom
-- Answers the commands that a leader before this one has begun and not answered, with one text for all, and lets go of their entries.
-- KEYS: results, open, lease, commands
-- ARGV: prefix, fence, entries that the stream keeps, milliseconds that an answer is kept, answer (JSON)
local prefix, fence = ARGV[1], ARGV[2]
local lease = redis.call('GET', KEYS[3])
if not lease or string.match(lease, '^(%d+):') ~= fence then
    return {'FENCED', lease or ''}
end
local count = 0
local open = redis.call('HGETALL', KEYS[2])
for index = 1, #open, 2 do
    local id, mark = open[index], open[index + 1]
    if string.match(mark, '^(%d+):') ~= fence then
        if redis.call('SET', prefix .. 'done:' .. id, ARGV[5], 'NX', 'PX', ARGV[4]) then
            redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'id', id, 'json', ARGV[5])
            count = count + 1
        end
        local entry = string.match(mark, ':(%d+%-%d+)$')
        if entry then
            redis.call('XDEL', KEYS[4], entry)
        end
        redis.call('HDEL', KEYS[2], id)
    end
end
return {'SWEPT', tostring(count)}
