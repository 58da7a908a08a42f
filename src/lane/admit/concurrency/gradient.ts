/**
 * A limit by the gradient of latency: the ratio of the latency without a queue to the latency now.
 * The limit grows while both agree and shrinks as they diverge. The idea is TCP Vegas's: a queue
 * shows in the round trip before anything is lost (Brakmo and Peterson, 1995).
 */

import type { WindowOfSamples } from './window.ts';

/** One step at most halves the limit. */
const STEEPEST = 0.5;
/** From this share of failures on, the latency of the other answers says nothing. */
const DROP_SHARE = 0.05;
const DROP_FACTOR = 0.9;

/**
 * The limit that follows from `window`, not yet clamped to its bounds. `tolerance` is the ratio to
 * the base latency that still counts as good.
 */
export function gradientLimit(limit: number, window: WindowOfSamples, baseUs: number, tolerance: number): number {
  if (window.drops > (window.samples + window.drops) * DROP_SHARE) return limit * DROP_FACTOR;
  if (window.samples === 0 || baseUs === 0) return limit;
  const gradient = Math.max(STEEPEST, Math.min(1, (tolerance * baseUs) / window.meanUs));
  // Room for the queue that a burst of that many independent arrivals needs.
  const next = limit * gradient + Math.sqrt(limit);
  // A limit that was never reached is no evidence for a higher one.
  return next > limit && window.peak * 2 < limit ? limit : next;
}
