#!lua flags=no-writes
-- Gives the number of bytes of each asset; 0 for what is not there.
-- KEYS: asset:ID of each
local sizes = {}
for place, key in ipairs(KEYS) do
    local size = redis.pcall('STRLEN', key)
    sizes[place] = type(size) == 'number' and size or 0
end
return sizes
