#!lua flags=no-writes
-- Gives the list: how many there are, how many of them are left out, the deleted ones, and id and facts of each.
-- KEYS: assets, assets:deleted
-- ARGV: most assets, most deleted ones, most bytes of the facts of one
local count = redis.call('HLEN', KEYS[1])
if count > tonumber(ARGV[1]) then
    return { count, count, {}, {} }
end
local all, kept, left_out = redis.call('HGETALL', KEYS[1]), {}, 0
for place = 1, #all, 2 do
    if #all[place] == 32 and #all[place + 1] <= tonumber(ARGV[3]) then
        kept[#kept + 1] = all[place]
        kept[#kept + 1] = all[place + 1]
    else
        left_out = left_out + 1
    end
end
return { count, left_out, redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[2]) - 1, 'REV'), kept }
