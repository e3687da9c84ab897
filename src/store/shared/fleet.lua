#!lua flags=allow-oom
-- An instance of a fleet says that it is there, keeps the channels that it has, and takes one more where it has room.
-- KEYS: instances
-- ARGV: prefix, instance, capacity, milliseconds, whether it takes more ('1'), the mark that it knows, how many that it has take no
-- place, since they cannot be started, and id and settings of each channel that it carries
local prefix, me, capacity, time = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local refused = tonumber(ARGV[7])
local room = capacity > 0 and capacity + refused or 0
local wanted, since = prefix .. 'channels', prefix .. 'since'
local clock = redis.call('TIME')
local now = clock[1] .. string.format('%03d', math.floor(clock[2] / 1000))
-- Where the mark is another one, all that was saved is gone: what is on air all the same is wanted still.
redis.call('SET', prefix .. 'begun', now .. '-' .. me, 'NX')
local mark = redis.call('GET', prefix .. 'begun')
local carried = {}
for at = 8, #ARGV, 2 do
    carried[ARGV[at]] = true
    if mark ~= ARGV[6] then
        redis.call('HSETNX', wanted, ARGV[at], ARGV[at + 1])
    end
end
local channels = redis.call('HKEYS', wanted)
table.sort(channels)
local mine, free = {}, {}
local function take(channel)
    redis.call('SET', prefix .. 'holder:' .. channel, me, 'PX', time)
    redis.call('HSET', since, channel, now)
    mine[#mine + 1] = channel
end
local function look(channel)
    local key = prefix .. 'holder:' .. channel
    local holder = redis.call('GET', key)
    if holder == me then
        if #mine < room then
            redis.call('PEXPIRE', key, time)
            mine[#mine + 1] = channel
        else
            redis.call('DEL', key)
        end
    elseif not holder and carried[channel] and #mine < room then
        -- Nobody took it while it could not be renewed.
        take(channel)
    elseif not holder then
        free[#free + 1] = channel
    end
end
-- What is carried comes before what is only its own.
for _, is_carried in ipairs({true, false}) do
    for _, channel in ipairs(channels) do
        if (carried[channel] or false) == is_carried then
            look(channel)
        end
    end
end
-- One at a time, so that instances which start together share.
if ARGV[5] == '1' and #mine < room and free[1] then
    take(free[1])
end
for _, other in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('EXISTS', prefix .. 'instance:' .. other) == 0 then
        redis.call('SREM', KEYS[1], other)
    end
end
redis.call('SADD', KEYS[1], me)
redis.call('SET', prefix .. 'instance:' .. me, cjson.encode({capacity = capacity, channels = math.max(#mine - refused, 0)}), 'PX', time)
local answer = {mark}
for _, channel in ipairs(mine) do
    answer[#answer + 1] = channel
    answer[#answer + 1] = redis.call('HGET', wanted, channel) or ''
end
return answer
