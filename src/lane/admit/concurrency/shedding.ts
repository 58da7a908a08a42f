/**
 * Shedding: an upstream at its limit turns requests away at once, and the less important ones
 * earlier (brownout), so that what is served is served in time and is what matters most.
 */

import { reasonNumber } from '../../../base/errors.ts';
import type { ConcurrencySnapshot, Priority } from '../../../config/snapshot/limit.ts';
import { PASSES } from '../verdict.ts';

const CONCURRENCY_LIMITED = reasonNumber('concurrency_limited');
const BROWNOUT = reasonNumber('brownout');

/** Priorities by their number, the least first. */
export const PRIORITIES: readonly Priority[] = ['low', 'normal', 'high', 'critical'];

export class Shedding {
  private readonly shares: Float64Array;

  constructor({ brownout }: ConcurrencySnapshot) {
    this.shares = Float64Array.of(...brownout, 1);
  }

  /**
   * The verdict on a request of `priority` with `inFlight` of `limit` taken; none waits here.
   * Nobody is turned away where nobody else is.
   */
  verdict(priority: number, inFlight: number, limit: number): number {
    if (inFlight >= limit) return CONCURRENCY_LIMITED;
    return inFlight >= Math.max(1, limit * this.shares[priority]!) ? BROWNOUT : PASSES;
  }
}
