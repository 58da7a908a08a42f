/**
 * The script that charges shared limits: the same algorithm as `../limit.ts` with the store's own
 * clock, so that edges whose clocks differ agree. All limits of a request are one call: it passes
 * by all of them and is charged by all, or is charged by none.
 *
 * KEYS are buckets; for each there are two arguments, the time of a token in µs and the tokens of a
 * full bucket. A bucket is the time at which it is full again, and is forgotten then. The answer is
 * two integers: 0, or which of the keys refused (from 1); and in how many milliseconds a request
 * would pass.
 */

import { createHash } from 'node:crypto';

export const CHARGE_SCRIPT = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local full = {}
local by, longest = 0, 0.5
for i = 1, #KEYS do
  local token, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local at = tonumber(redis.call('GET', KEYS[i]) or now)
  at = math.max(now, math.min(at, now + token * burst))
  local wait = at + token - token * burst - now
  if wait > longest then by, longest = i, wait end
  full[i] = at + token
end
if by > 0 then return { by, math.ceil(longest / 1000) } end
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000) + 1)
end
return { 0, 0 }
`;

/** The digest by which the store knows the script (EVALSHA). */
export const CHARGE_SHA: string = createHash('sha1').update(CHARGE_SCRIPT).digest('hex');
