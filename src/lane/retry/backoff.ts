/**
 * Back-off between attempts: exponential with full jitter ("Exponential Backoff And Jitter", AWS
 * Architecture Blog, 2015), so that exchanges that failed together do not retry together.
 */

/** More doublings than any configured maximum allows. */
const MAX_DOUBLINGS = 20;

/**
 * Whole milliseconds to wait before attempt number `attempts` + 1: from 0 to a bound that starts at
 * `baseMs`, doubles each time and is at most `maxMs`. `random` is in [0, 1).
 */
export function backoffMs(attempts: number, random: number, baseMs: number, maxMs: number): number {
  return Math.floor(random * Math.min(maxMs, baseMs * 2 ** Math.min(MAX_DOUBLINGS, attempts - 1)));
}
