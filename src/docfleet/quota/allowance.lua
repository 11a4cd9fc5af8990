-- The arithmetic of allowance.py and adaptive.py on the server's clock, in one round trip. Change both together.
--
-- KEYS  1 hash of the allowance   2 sorted set of calls under way   3 sorted set of members
-- ARGV  1 what: ask, late, refund, succeeded, throttled, failed, renew, free   2 now ('': the server's clock)
--       3 requests/min (-1: not limited)   4 pages/min (-1)   5 concurrent (-1)   6 burst seconds   7 headroom
--       8 urgent share   9 place seconds   10 factor and 11 ceiling for an allowance that is not there
--       12… of what is asked
-- gives ask:  {'1' | '0', seconds, reason, generation, members, factor, ceiling}; free: {requests or 'inf'}; else {'1'}

local OWED_SECONDS, PLACE_WAIT, LONGEST_PAUSE, PRESSED_SECONDS = 1.0, 0.5, 600.0, 60.0
local NEAR, BACK_STEP, PROBE_STEP, PROBE_GROWTH, UNSURE_STEP = 0.98, 1 / 10, 3.8e-5, 200, 20
local STORM_CALLS, LONG_STORM, FORGET_STORM, STORM_CEILING, FORGET_EARLY = 2, 10, 0.98, 0.3, 0.7
local STEADY_CALLS, STEADY_MINUTES, FORGET_SOON, PROBES_A_MINUTE, LOWEST, TINY = 50, 5, 0.07, 60, 0.02, 1e-9
local KEPT_SECONDS, MEMBER_SECONDS = 86400, 300
local LONGEST_SHIFT = 5.0
local max, min = math.max, math.min

local what, now = ARGV[1], tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end
local per_minute, pages_per_minute, concurrent = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local burst, headroom, share, place = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local is_limited, has_pages = per_minute >= 0, pages_per_minute >= 0
local lowest = LOWEST
if per_minute > 0 then lowest = min(1, max(LOWEST, 1 / per_minute)) end

local function text(number) return string.format('%.17g', number) end

local rate, pages_rate, credit_rate, capacity, pages_capacity, credit_capacity, kept, pages_kept
local function at_pace(factor)
  local used = factor * (1 - headroom) / 60
  rate, pages_rate = max(0, per_minute) * used, max(0, pages_per_minute) * used
  credit_rate = rate * share
  capacity = is_limited and max(1, rate * burst) or 0
  pages_capacity = has_pages and max(1, pages_rate * burst) or 0
  credit_capacity = is_limited and max(1, capacity * share) or 0
  kept, pages_kept = capacity * share, pages_capacity * share
end

local FIELDS = {'requests', 'pages', 'credit', 'at', 'factor', 'ceiling', 'generation', 'calls', 'probes', 'storms', 'passed',
                'unsure', 'paused_until', 'owed_until', 'pressed_at'}
local a = {}
local found = redis.call('HMGET', KEYS[1], unpack(FIELDS))
if found[4] then
  for i, name in ipairs(FIELDS) do a[name] = tonumber(found[i]) end
else
  -- an empty bucket: whoever counted before may just have let a burst go
  for _, name in ipairs(FIELDS) do a[name] = 0 end
  a.at, a.factor, a.ceiling, a.pressed_at = now, tonumber(ARGV[10]), tonumber(ARGV[11]), -1e18
  at_pace(a.factor)
  a.credit = credit_capacity
end

at_pace(a.factor)
local past = max(0, now - a.at)
a.requests = min(capacity, a.requests + past * rate)
a.pages = min(pages_capacity, a.pages + past * pages_rate)
a.credit = min(credit_capacity, a.credit + past * credit_rate)
a.at = now
a.paused_until = min(a.paused_until, now + LONGEST_PAUSE)
a.owed_until = min(a.owed_until, now + LONGEST_PAUSE + OWED_SECONDS)
a.pressed_at = min(a.pressed_at, now)

local function save()
  local pairs_of = {}
  for _, name in ipairs(FIELDS) do
    pairs_of[#pairs_of + 1] = name
    pairs_of[#pairs_of + 1] = text(a[name])
  end
  redis.call('HSET', KEYS[1], unpack(pairs_of))
  redis.call('EXPIRE', KEYS[1], KEPT_SECONDS)
end

local function drop_ended()
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now))
  -- left by a clock that was ahead
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '(' .. text(now + 2 * place), '+inf')
end

local function hold(id)
  redis.call('ZADD', KEYS[2], text(now + place), id)
  redis.call('EXPIRE', KEYS[2], math.ceil(2 * place))
end

local function wait(level, amount, keep, top, per_second)
  local missing = min(amount + keep, top) - level
  if missing <= TINY then return 0 end
  if per_second <= 0 then return math.huge end
  return missing / per_second
end

local function ask(id, requests, pages, urgent, patience, member)
  drop_ended()
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now))
  redis.call('ZADD', KEYS[3], text(now + MEMBER_SECONDS), member)
  local members = redis.call('ZCARD', KEYS[3])
  local favoured = urgent and (not is_limited or a.credit + TINY >= min(requests, credit_capacity))
  local for_requests, for_pages, paused, owed, full = 0, 0, max(0, a.paused_until - now), 0, 0
  if is_limited then for_requests = wait(a.requests, requests, favoured and 0 or kept, capacity, rate) end
  if has_pages and pages > 0 then
    for_pages = wait(a.pages, pages, favoured and 0 or pages_kept, pages_capacity, pages_rate)
  end
  if not favoured and a.requests < requests + 1 then owed = max(0, a.owed_until - now) end
  if concurrent >= 0 and redis.call('ZCARD', KEYS[2]) >= concurrent then
    local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
    full = min(PLACE_WAIT, max(0.05, (tonumber(first[2]) or math.huge) - now))
  end
  local seconds, reason = 0, 'requests'
  for _, one in ipairs({{for_requests, 'requests'}, {for_pages, 'pages'}, {paused, 'paused'}, {owed, 'urgent'},
                        {full, 'concurrent'}}) do
    if one[1] > seconds then seconds, reason = one[1], one[2] end
  end
  seconds = min(seconds, LONGEST_PAUSE)
  if max(for_requests, for_pages) > 0 then a.pressed_at = now end
  local granted = seconds == 0 or (seconds <= patience and full == 0 and owed == 0)
  if granted then
    if favoured then
      local paid = a.owed_until > now or (is_limited and wait(a.requests, requests, kept, capacity, rate) > 0)
      if paid and is_limited then a.credit = a.credit - requests end
      a.owed_until = 0
    end
    if is_limited then a.requests = a.requests - requests end
    if has_pages then a.pages = a.pages - pages end
    if a.factor < NEAR * a.ceiling then a.factor = min(NEAR * a.ceiling, a.factor + BACK_STEP * a.ceiling) end
    a.calls = a.calls + 1
    hold(id)
  elseif favoured then
    a.owed_until = now + seconds + OWED_SECONDS
  end
  save()
  return {granted and '1' or '0', text(seconds), granted and '' or reason, text(a.generation), tostring(members),
          text(a.factor), text(a.ceiling)}
end

local function throttled(generation, retry_after)
  a.requests, a.pages = min(0, a.requests), min(0, a.pages)
  a.paused_until = max(a.paused_until, now + min(retry_after, LONGEST_PAUSE))
  if generation < a.generation then return end
  if a.calls <= STORM_CALLS and a.passed == 0 then
    a.storms = a.storms + 1
    if a.storms >= LONG_STORM then
      a.ceiling, a.unsure = max(min(a.ceiling, STORM_CEILING), a.ceiling * FORGET_STORM), 1
    end
  elseif a.factor >= 0.9 * a.ceiling then
    local trusted = max(a.probes / PROBE_GROWTH, a.calls / max(STEADY_CALLS, STEADY_MINUTES * rate * 60))
    a.ceiling = a.factor * (1 - FORGET_SOON * max(0, 1 - trusted))
    a.unsure, a.storms = 0, 0
  else
    a.ceiling, a.unsure, a.storms = max(a.factor, a.ceiling * FORGET_EARLY), 1, 0
  end
  a.ceiling, a.factor = max(lowest, a.ceiling), max(lowest, a.factor / 2)
  a.generation, a.calls, a.probes, a.passed = a.generation + 1, 0, 0, 0
end

local function succeeded(generation)
  if generation < a.generation - (a.storms > 0 and 1 or 0) then return end
  a.passed = 1
  if generation < a.generation or now - a.pressed_at > PRESSED_SECONDS then return end
  if a.factor >= 1 or a.factor < NEAR * a.ceiling then return end
  local step = PROBE_STEP * a.ceiling * (1 + (a.probes / PROBE_GROWTH) ^ 2) * (a.unsure == 1 and UNSURE_STEP or 1)
  local weight = PROBES_A_MINUTE / max(PROBES_A_MINUTE, rate * 60)
  a.factor, a.probes = min(1, a.factor + step * weight), a.probes + weight
end

local function free()
  drop_ended()
  if a.paused_until > now or (a.owed_until > now and a.requests < 2)
    or (has_pages and wait(a.pages, 1, pages_kept, pages_capacity, pages_rate) > 0) then
    return 0
  end
  local room = math.huge
  if concurrent >= 0 then room = max(0, concurrent - redis.call('ZCARD', KEYS[2])) end
  if is_limited then room = min(room, max(0, a.requests - (min(1 + kept, capacity) - 1))) end
  return room
end

-- an allowance that is asked after begins to fill
if not found[4] then save() end

if what == 'ask' then
  return ask(ARGV[12], tonumber(ARGV[13]), tonumber(ARGV[14]), ARGV[15] == '1', tonumber(ARGV[16]), ARGV[17])
elseif what == 'free' then
  local room = free()
  return {room == math.huge and 'inf' or text(room)}
elseif what == 'late' then
  local shift = min(max(0, tonumber(ARGV[12])), LONGEST_SHIFT)
  if is_limited then a.requests = a.requests - shift * rate end
  if has_pages then a.pages = a.pages - shift * pages_rate end
  save()
  return {'1'}
elseif what == 'renew' then
  hold(ARGV[12])
  return {'1'}
end
-- the others end a call; of a call that has ended already only a refusal or a success still says something
local was_under_way = redis.call('ZREM', KEYS[2], ARGV[12]) == 1
if what == 'throttled' then
  throttled(tonumber(ARGV[13]), tonumber(ARGV[14]))
elseif what == 'succeeded' then
  succeeded(tonumber(ARGV[13]))
elseif what == 'refund' and was_under_way then
  a.requests = min(capacity, a.requests + tonumber(ARGV[13]))
  a.pages = min(pages_capacity, a.pages + tonumber(ARGV[14]))
end
save()
return {'1'}
