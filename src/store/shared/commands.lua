#!lua
-- Tells what became of a command, once.
-- KEYS: done:COMMAND, results
-- ARGV: command, result (JSON), milliseconds that it is kept, entries that the stream keeps
if redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'id', ARGV[1], 'json', ARGV[2])
    return 1
end
return 0
