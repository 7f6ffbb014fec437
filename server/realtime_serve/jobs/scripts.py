"""What runs inside Redis, so that nothing can come in between. Pure text."""

from __future__ import annotations

APPEND = """
-- KEYS: events, card, reader. ARGV: id, name, data, events kept, seconds kept, card or '', 1 for the last event, owner.
local owner = redis.call('HGET', KEYS[2], 'owner')
if owner and owner ~= ARGV[8] then return 'over' end
local over = redis.call('HGET', KEYS[2], 'over')
local added = 'mine'
if not over and redis.call('EXISTS', KEYS[2]) == 1 then
  added = redis.pcall('XADD', KEYS[1], 'MAXLEN', ARGV[4], ARGV[1] .. '-0', 'n', ARGV[2], 'd', ARGV[3])
elseif not over then
  return 'gone'
end
if over or type(added) == 'table' then
  -- The number is taken: by this very event, when its answer was lost on the way, or by another.
  local held = redis.call('XRANGE', KEYS[1], ARGV[1] .. '-0', ARGV[1] .. '-0')
  if not held[1] or held[1][2][2] ~= ARGV[2] or held[1][2][4] ~= ARGV[3] then
    return 'over'
  end
end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[2], 'card', ARGV[6]) end
if ARGV[7] == '1' then redis.call('HSET', KEYS[2], 'over', '1') end
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
if redis.call('GET', KEYS[3]) == 'cancel' and ARGV[7] ~= '1' then return 'cancel' end
return 'ok'
"""

TAKE = """
-- KEYS: card, the new owner's lease. ARGV: the old owner, the new one, milliseconds of its lease.
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] or redis.call('HEXISTS', KEYS[1], 'over') == 1 then return 0 end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
redis.call('HSET', KEYS[1], 'owner', ARGV[2])
return 1
"""
