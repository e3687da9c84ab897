#!lua flags=allow-oom
-- Takes an asset off the list, remembers that it was, and tells whoever listens.
-- KEYS: assets, assets:deleted, asset:ID
-- ARGV: id, channel, how many deleted ones are remembered
redis.call('DEL', KEYS[3])
redis.call('HDEL', KEYS[1], ARGV[1])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[3]))
redis.call('PUBLISH', ARGV[2], 'deleted ' .. ARGV[1])
return 1
