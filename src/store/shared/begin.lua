#!lua
-- Marks a command as begun, where it was not, and moves on to it. One that was begun by a leader who died is not done a second time.
-- KEYS: begun:COMMAND, cursor, lease
-- ARGV: milliseconds that the mark is kept, entry, fence
local lease = redis.call('GET', KEYS[3])
if not lease or string.match(lease, '^(%d+):') ~= ARGV[3] then
    return 'FENCED'
end
redis.call('SET', KEYS[2], ARGV[2])
if ARGV[1] ~= '0' and redis.call('SET', KEYS[1], ARGV[3], 'NX', 'PX', ARGV[1]) then
    return 'BEGUN'
end
return 'KNOWN'
