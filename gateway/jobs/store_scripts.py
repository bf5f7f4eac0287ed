"""The steps of the job store that the server makes whole or not at all.

`gateway.jobs.store` says what the keys hold.
"""

from __future__ import annotations

from gateway.sharing.store import FORGET

# What is different for each writing of a record. A version alone would not do: a store that lost
# its last writes gives the same version to another record.
_MARK = """
local function mark(version)
  local t = redis.call('TIME')
  return version .. '.' .. t[1] .. '.' .. t[2]
end
"""

# KEYS: job, jobs, jobs:of:owner, jobs:of:owner:state, jobs:active, idempotency (may be "")
# ARGV: id, owner, record, state, request hash, version (a restored job has one already),
# how many jobs the owner may have, how many that have not ended (0: any), the states of such
# Answers "" when added, the earlier job's id for a known key, "!" when the key has another hash,
# "?" when the id was given before, "jobs" or "alive" when there are as many as may be.
ADD = (
    _MARK
    + """
if KEYS[6] ~= '' then
  local earlier = redis.call('HMGET', KEYS[6], 'id', 'hash')
  if earlier[1] then
    if earlier[2] ~= ARGV[5] then return '!' end
    return earlier[1]
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('SISMEMBER', 'jobs:deleted', ARGV[1]) == 1 then
  return '?'
end
local most, most_alive, alive = tonumber(ARGV[7]), tonumber(ARGV[8]), 0
if most > 0 and redis.call('ZCARD', KEYS[3]) >= most then return 'jobs' end
for i = 9, #ARGV do alive = alive + redis.call('ZCARD', KEYS[3] .. ':' .. ARGV[i]) end
if most_alive > 0 and alive >= most_alive then return 'alive' end
redis.call('HSET', KEYS[1], 'record', ARGV[3], 'version', ARGV[6],
  'owner', ARGV[2], 'state', ARGV[4], 'mark', mark(ARGV[6]))
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
redis.call('ZADD', KEYS[4], 0, ARGV[1])
redis.call('SADD', KEYS[5], ARGV[1])
if KEYS[6] ~= '' then
  redis.call('HSET', KEYS[6], 'id', ARGV[1], 'hash', ARGV[5])
  redis.call('SADD', KEYS[1] .. ':idempotency', KEYS[6])
end
return ''
"""
)

# KEYS: job, jobs:active, idempotency (may be "")
# ARGV: id, expected version, new version, record, owner, new state, request hash
CHANGE = (
    _MARK
    + """
local now = redis.call('HMGET', KEYS[1], 'version', 'state')
if not now[1] then return 'gone' end
if KEYS[3] ~= '' then
  local earlier = redis.call('HGET', KEYS[3], 'hash')
  if earlier then
    if earlier ~= ARGV[7] then return 'other' end
    return 'replayed'
  end
end
if now[1] ~= ARGV[2] then return 'stale' end
redis.call('HSET', KEYS[1], 'record', ARGV[4], 'version', ARGV[3], 'state', ARGV[6],
  'mark', mark(ARGV[3]))
if now[2] ~= ARGV[6] then
  redis.call('ZREM', 'jobs:of:' .. ARGV[5] .. ':' .. now[2], ARGV[1])
  redis.call('ZADD', 'jobs:of:' .. ARGV[5] .. ':' .. ARGV[6], 0, ARGV[1])
end
redis.call('SADD', KEYS[2], ARGV[1])
if KEYS[3] ~= '' then
  redis.call('HSET', KEYS[3], 'id', ARGV[1], 'hash', ARGV[7])
  redis.call('SADD', KEYS[1] .. ':idempotency', KEYS[3])
end
return 'changed'
"""
)

# KEYS: job, jobs:active
# ARGV: id, version, number of the attempt that has ended, and what each that has ended adds to sums
# (gateway.jobs.spent): its number, key, field, amount, seconds the key is kept (0: for good)
# A job may be settled again, as when its title was changed: each attempt is added once.
SETTLE = """
local now = redis.call('HMGET', KEYS[1], 'version', 'charged')
if now[1] ~= ARGV[2] then return 0 end
local charged = tonumber(now[2] or 0)
for i = 4, #ARGV, 5 do
  if tonumber(ARGV[i]) > charged then
    redis.call('HINCRBYFLOAT', ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
    if ARGV[i + 4] ~= '0' then redis.call('EXPIRE', ARGV[i + 1], ARGV[i + 4]) end
  end
end
if tonumber(ARGV[3]) > charged then redis.call('HSET', KEYS[1], 'charged', ARGV[3]) end
return redis.call('SREM', KEYS[2], ARGV[1])
"""

# KEYS: job, jobs, jobs:active, jobs:deleted, jobs:rubbish, and what else goes with the job
# ARGV: id, version as read, owner, what is to be removed from disk, seconds that keys are kept,
# what stays of it (see gateway.jobs.gone), the second of its deletion
# The keys stay for a while without their job: a late retry must not make it again. In the same step
# its shares go.
DELETE = (
    FORGET
    + """
local now = redis.call('HMGET', KEYS[1], 'version', 'state')
if not now[1] then return 'gone' end
if now[1] ~= ARGV[2] then return 'stale' end
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1] .. ':idempotency')) do
  redis.call('EXPIRE', key, ARGV[5])
end
redis.call('DEL', KEYS[1], KEYS[1] .. ':idempotency', unpack(KEYS, 6))
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', 'jobs:of:' .. ARGV[3], ARGV[1])
redis.call('ZREM', 'jobs:of:' .. ARGV[3] .. ':' .. now[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('SADD', KEYS[4], ARGV[1])
redis.call('RPUSH', KEYS[5], ARGV[4])
redis.call('HSET', 'gone', ARGV[1], ARGV[6])
redis.call('ZADD', 'gone:ids', 0, ARGV[1])
redis.call('ZADD', 'gone:of:' .. ARGV[3], 0, ARGV[1])
redis.call('ZADD', 'gone:when', ARGV[7], ARGV[1])
forget_shares('job', ARGV[1])
return 'deleted'
"""
)

# ARGV: when, then for each job its id and its version as read
# One that has changed since was seen as it was, not as it is; one that is gone must not come back.
SEEN = """
for i = 2, #ARGV, 2 do
  local key = 'job:' .. ARGV[i]
  if redis.call('HGET', key, 'version') == ARGV[i + 1] then
    redis.call('HSET', key, 'observed', ARGV[1])
  end
end
"""

# ARGV: as JSON for each job its id, the mark of the record that is known of it ("": none), and when
# it was known to be last seen as it is ("": never); one text, as thousands take long to be sent
# Answers for each of which something else is known here: its place among them, from 1; its record,
# nil when it is the known one or the job is gone; when it was last seen as it is; the mark of its
# record, "" when it is gone.
READ = (
    _MARK
    + """
local rows = {}
for i, known in ipairs(cjson.decode(ARGV[1])) do
  local key = 'job:' .. known[1]
  local now, record = redis.call('HMGET', key, 'mark', 'observed'), false
  if not now[1] or now[1] ~= known[2] then record = redis.call('HGET', key, 'record') end
  if record and not now[1] then
    now[1] = mark('0')
    redis.call('HSET', key, 'mark', now[1])
  end
  if now[1] ~= known[2] or (now[2] or '') ~= known[3] then
    rows[#rows + 1] = {i, record, now[2], now[1] or ''}
  end
end
return rows
"""
)
