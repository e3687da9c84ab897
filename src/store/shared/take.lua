#!lua flags=allow-oom
-- Reads the next commands for the leader and marks them as begun, so that none is done a second time. Reading behind the same entry
-- again, after an answer that was lost, gives the same commands again. What nobody is to do is let go of; the rest is once it is answered.
-- KEYS: commands, cursor, lease, open
-- ARGV: prefix, fence, entry to read behind ('' only asks where the leader before stopped), commands, entries that are read at once,
--       bytes of all commands, bytes of one, milliseconds that a mark is kept, entries from which on those that were read are let go of
local prefix, fence = ARGV[1], ARGV[2]
local lease = redis.call('GET', KEYS[3])
if not lease or string.match(lease, '^(%d+):') ~= fence then
    return {'FENCED', lease or ''}
end
local from = ARGV[3]
if from == '' then
    from = redis.call('GET', KEYS[2]) or ''
end
if not string.match(from, '^%d+%-%d+$') then
    from = '0-0'
end
if ARGV[3] == '' then
    return {'READ', from}
end
local function read(behind)
    return redis.call('XRANGE', KEYS[1], '(' .. behind, '+', 'COUNT', ARGV[5])
end
local function is_before(one, other)
    local ms, count = string.match(one, '^(%d+)%-(%d+)$')
    local other_ms, other_count = string.match(other, '^(%d+)%-(%d+)$')
    ms, other_ms = tonumber(ms), tonumber(other_ms)
    return ms < other_ms or (ms == other_ms and tonumber(count) < tonumber(other_count))
end
local entries = read(from)
if #entries == 0 and from ~= '0-0' then
    local newest = '0-0'
    local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
    for index = 1, #info, 2 do
        if info[index] == 'last-generated-id' then
            newest = info[index + 1]
        end
    end
    if is_before(newest, from) then
        -- The server has lost its last writes, or all of them. The cursor is lost and restored together with the stream.
        from = redis.call('GET', KEYS[2]) or ''
        if not string.match(from, '^%d+%-%d+$') or is_before(newest, from) then
            from = '0-0'
        end
        entries = read(from)
    end
end
local most, bytes_max, text_max = tonumber(ARGV[4]), tonumber(ARGV[6]), tonumber(ARGV[7])
local bytes = 0
local found = {'READ', from}
-- Whether there is room for more.
local function take(entry)
    local name, fields = entry[1], entry[2]
    local id, json
    for index = 1, #fields, 2 do
        if fields[index] == 'id' and not id then
            id = fields[index + 1]
        elseif fields[index] == 'json' and not json then
            json = fields[index + 1]
        end
    end
    bytes = bytes + (json and #json or 0)
    if #found > 2 and (bytes > bytes_max or #found - 2 >= most) then
        return false
    end
    local kind = 'DO'
    if not id or #id > 100 or not string.match(id, '^[!-~]+$') then
        kind = 'NAMELESS'
        id, json = '', ''
        redis.call('XDEL', KEYS[1], name)
    else
        local mine = fence .. ':' .. name
        local begun = redis.call('GET', prefix .. 'begun:' .. id)
        if (begun and begun ~= mine) or redis.call('EXISTS', prefix .. 'done:' .. id) == 1 then
            kind = 'KNOWN'
            redis.call('XDEL', KEYS[1], name)
        else
            redis.call('SET', prefix .. 'begun:' .. id, mine, 'PX', ARGV[8])
            redis.call('HSET', KEYS[4], id, mine)
            if not json then
                kind = 'EMPTY'
            elseif #json > text_max then
                kind = 'LONG'
            end
        end
        if kind ~= 'DO' then
            json = ''
        end
    end
    found[#found + 1] = {kind, id, json}
    found[2] = name
    return true
end
local has_room = true
while has_room and #entries > 0 do
    for _, entry in ipairs(entries) do
        has_room = take(entry)
        if not has_room then
            break
        end
    end
    -- A few at a time, since each may be large.
    entries = has_room and #entries == tonumber(ARGV[5]) and read(found[2]) or {}
end
if found[2] ~= from then
    redis.call('SET', KEYS[2], found[2])
    -- What was given before has arrived; this may have to be given again.
    if redis.call('XLEN', KEYS[1]) > tonumber(ARGV[9]) then
        redis.call('XTRIM', KEYS[1], 'MINID', '~', from)
    end
end
return found
