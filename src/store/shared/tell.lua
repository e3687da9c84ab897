#!lua
-- Tells events in their order, each once, as long as nobody else leads.
-- KEYS: lease, told
-- ARGV: fence, channel; then of each event: number, event (JSON)
local fence = ARGV[1]
local lease = redis.call('GET', KEYS[1])
-- Nobody has it for a moment after all keys were deleted.
if lease and string.match(lease, '^(%d+):') ~= fence then
    return {'FENCED', lease}
end
local told = redis.call('GET', KEYS[2]) or ''
local by, last = string.match(told, '^(%d+):(%d+)$')
last = by == fence and tonumber(last) or -1
for index = 3, #ARGV, 2 do
    if tonumber(ARGV[index]) > last then
        redis.call('PUBLISH', ARGV[2], ARGV[index + 1])
    end
end
redis.call('SET', KEYS[2], fence .. ':' .. ARGV[#ARGV - 1])
return {'TOLD', ''}
