#!lua flags=allow-oom
-- Tells what became of commands, of each once, and lets go of their entries, which makes room.
-- KEYS: results, open, lease, commands
-- ARGV: prefix, fence, entries that the stream keeps, bytes of the longest result in it; then of each command: id, result (JSON),
--       milliseconds that it is kept
local prefix = ARGV[1]
local lease = redis.call('GET', KEYS[3])
-- Nobody has it for a moment after all keys were deleted.
if lease and string.match(lease, '^(%d+):') ~= ARGV[2] then
    return {'FENCED', lease}
end
for index = 5, #ARGV, 3 do
    local id, json = ARGV[index], ARGV[index + 1]
    local done = prefix .. 'done:' .. id
    if redis.call('SET', done, json, 'NX', 'PX', ARGV[index + 2]) then
        if #json <= tonumber(ARGV[4]) then
            redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'id', id, 'json', json)
        else
            redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'id', id, 'key', done)
        end
    end
    local entry = string.match(redis.call('HGET', KEYS[2], id) or '', ':(%d+%-%d+)$')
    if entry then
        redis.call('XDEL', KEYS[4], entry)
    end
    redis.call('HDEL', KEYS[2], id)
    redis.call('DEL', prefix .. 'begun:' .. id)
end
return {'TOLD', ''}
