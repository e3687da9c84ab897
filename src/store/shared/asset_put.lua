#!lua
-- Lists an asset, with its bytes where they are given, and tells whoever listens.
-- KEYS: assets, assets:deleted, asset:ID
-- ARGV: id, facts (JSON), bytes or '', channel
if ARGV[3] ~= '' then
    redis.call('SET', KEYS[3], ARGV[3])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[4], 'added ' .. ARGV[1])
return 1
