/**
 * Additive increase, multiplicative decrease (Chiu and Jain, 1989): the limit grows by one while
 * answers are in time, and falls by a tenth when too many are late or fail.
 */

import type { WindowOfSamples } from './window.ts';

const BACK_OFF = 0.9;
/** Tolerated share of late and failed answers. */
const TOO_MANY = 0.1;

/** The limit that follows from `window`, not yet clamped to its bounds. */
export function aimdLimit(limit: number, window: WindowOfSamples): number {
  if (window.late + window.drops > (window.samples + window.drops) * TOO_MANY) return limit * BACK_OFF;
  return window.peak * 2 < limit ? limit : limit + 1;
}
