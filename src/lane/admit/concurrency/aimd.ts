/**
 * A limit by additive increase and multiplicative decrease (Chiu and Jain, 1989): one more while
 * answers are in time, a tenth less when too many are late or fail.
 */

import type { WindowOfSamples } from './window.ts';

const BACK_OFF = 0.9;
/** Share of late and failed answers that is too many. */
const TOO_MANY = 0.1;

/** The limit that follows from `window`, within no bounds yet. */
export function aimdLimit(limit: number, window: WindowOfSamples): number {
  if (window.late + window.drops > (window.samples + window.drops) * TOO_MANY) return limit * BACK_OFF;
  return window.peak * 2 < limit ? limit : limit + 1;
}
