/**
 * Shedding: an upstream at its limit turns requests away at once, low priorities first (brownout),
 * so that the requests it does serve are in time and the ones that matter most.
 */

import { reasonNumber } from '../../../base/errors.ts';
import type { ConcurrencySnapshot, Priority } from '../../../config/snapshot/limit.ts';
import { PASSES } from '../verdict.ts';

const CONCURRENCY_LIMITED = reasonNumber('concurrency_limited');
const BROWNOUT = reasonNumber('brownout');

/** Priorities by number, lowest first. */
export const PRIORITIES: readonly Priority[] = ['low', 'normal', 'high', 'critical'];

export class Shedding {
  private readonly shares: Float64Array;

  constructor({ brownout }: ConcurrencySnapshot) {
    this.shares = Float64Array.of(...brownout, 1);
  }

  /**
   * The verdict on a request of `priority` with `inFlight` of `limit` places taken. Nothing waits
   * here. A request with nothing else in flight always passes.
   */
  verdict(priority: number, inFlight: number, limit: number): number {
    if (inFlight >= limit) return CONCURRENCY_LIMITED;
    return inFlight >= Math.max(1, limit * this.shares[priority]!) ? BROWNOUT : PASSES;
  }
}
