#!lua flags=allow-oom
-- Lets a lease go, where it is still held. KEYS: lease. ARGV: fence:instance
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
