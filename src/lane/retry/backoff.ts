/**
 * Back-off between attempts: exponential with full jitter ("Exponential Backoff And Jitter", AWS
 * Architecture Blog, 2015). Those who failed together do not come back together.
 */

/** Longer ladders than this reach any maximum. */
const MAX_DOUBLINGS = 20;

/**
 * Whole milliseconds to wait before attempt number `attempts` + 1: of 0 to `baseMs`, the bound
 * doubled each time, at most `maxMs`. `random` is of [0, 1).
 */
export function backoffMs(attempts: number, random: number, baseMs: number, maxMs: number): number {
  return Math.floor(random * Math.min(maxMs, baseMs * 2 ** Math.min(MAX_DOUBLINGS, attempts - 1)));
}
