#!lua flags=allow-oom
-- Takes a lease, or keeps it.
-- KEYS: lease, fence, story
-- ARGV: instance, milliseconds, the fence that this instance has had it with ('0' for none), whether it may take it ('1'), how far the
--       stream is in nanoseconds ('' where it does not say)
-- The story is of the last holder: its name, how far it was, and when that was by Redis' own clock.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local function tell()
    if ARGV[5] ~= '' then
        redis.call('HSET', KEYS[3], 'name', ARGV[1], 'position', ARGV[5], 'at', string.format('%.0f', now_ms))
    end
end
local held = redis.call('GET', KEYS[1])
local mine = ARGV[3] .. ':' .. ARGV[1]
if held == mine then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    tell()
    return {'HELD', ARGV[3], 0}
end
if held and string.match(held, '^%d+:(.*)$') ~= ARGV[1] then
    return {'OTHER', held, redis.call('PTTL', KEYS[1])}
end
local newest = redis.call('GET', KEYS[2])
-- It ran out, and nobody has had it since. A fence that is older is that of a server which has lost its last writes: who had it under that
-- one has let it go, or was late, before this one was given.
if not held and ARGV[3] ~= '0' and (not newest or tonumber(newest) <= tonumber(ARGV[3])) then
    redis.call('SET', KEYS[1], mine, 'PX', ARGV[2])
    redis.call('SET', KEYS[2], ARGV[3])
    tell()
    return {'HELD', ARGV[3], 0}
end
if ARGV[4] ~= '1' then
    return {'FREE', newest or '', 0}
end
-- Redis' own clock is in it, so that fences go on rising after all keys were deleted.
local fence = math.max(tonumber(newest or '0') + 1, now_ms)
local text = string.format('%.0f', fence)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], text .. ':' .. ARGV[1], 'PX', ARGV[2])
local story = redis.call('HMGET', KEYS[3], 'name', 'position', 'at')
redis.call('HSET', KEYS[3], 'name', ARGV[1])
local since_ms = story[3] and math.max(now_ms - story[3], 0) or 0
return {'HELD', text, since_ms, story[1] or '', story[2] or ''}
