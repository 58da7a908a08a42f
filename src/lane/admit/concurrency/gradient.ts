/**
 * A limit by the gradient of the latency: what an answer would take without a queue against what it
 * takes now. More is let in while both agree, less in the measure in which they part. (The idea is
 * TCP Vegas's: a queue shows in the round trip before anything is lost. Brakmo and Peterson, 1995.)
 */

import type { WindowOfSamples } from './window.ts';

/** The limit falls to no less than half in one step. */
const STEEPEST = 0.5;
/** Share of failed answers from which on the latency of the others is beside the point. */
const DROP_SHARE = 0.05;
const DROP_FACTOR = 0.9;

/**
 * The limit that follows from `window`, within no bounds yet. `tolerance` is how much slower than
 * without a queue still is as good.
 */
export function gradientLimit(limit: number, window: WindowOfSamples, baseUs: number, tolerance: number): number {
  if (window.drops > (window.samples + window.drops) * DROP_SHARE) return limit * DROP_FACTOR;
  if (window.samples === 0 || baseUs === 0) return limit;
  const gradient = Math.max(STEEPEST, Math.min(1, (tolerance * baseUs) / window.meanUs));
  // Room for a queue as deep as a burst of as many independent arrivals would need.
  const next = limit * gradient + Math.sqrt(limit);
  // A limit that nobody reached says nothing for a higher one.
  return next > limit && window.peak * 2 < limit ? limit : next;
}
