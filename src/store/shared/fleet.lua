#!lua flags=allow-oom
-- An instance of a fleet says that it is there, keeps the channels that it has, and takes one more where it has room.
-- KEYS: instances
-- ARGV: prefix, instance, capacity, milliseconds, whether it takes more ('1')
local prefix, me, capacity, time = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local channels = redis.call('HKEYS', prefix .. 'channels')
table.sort(channels)
local mine, free = {}, {}
for _, channel in ipairs(channels) do
    local key = prefix .. 'holder:' .. channel
    local holder = redis.call('GET', key)
    if holder == me then
        if #mine < capacity then
            redis.call('PEXPIRE', key, time)
            mine[#mine + 1] = channel
        else
            redis.call('DEL', key)
        end
    elseif not holder then
        free[#free + 1] = channel
    end
end
-- One at a time, so that instances which start together share.
if ARGV[5] == '1' and #mine < capacity and free[1] then
    redis.call('SET', prefix .. 'holder:' .. free[1], me, 'PX', time)
    mine[#mine + 1] = free[1]
end
for _, other in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('EXISTS', prefix .. 'instance:' .. other) == 0 then
        redis.call('SREM', KEYS[1], other)
    end
end
redis.call('SADD', KEYS[1], me)
redis.call('SET', prefix .. 'instance:' .. me, cjson.encode({capacity = capacity, channels = #mine}), 'PX', time)
local answer = {}
for _, channel in ipairs(mine) do
    answer[#answer + 1] = channel
    answer[#answer + 1] = redis.call('HGET', prefix .. 'channels', channel) or ''
end
return answer
