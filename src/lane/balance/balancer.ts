/**
 * The contract of balancers: of the members of one upstream, which gets this attempt. Members are named by their position in the upstream.
 * A balancer decides by preference only; who may be chosen at all stands here, the same for every policy.
 */

import type { Standing } from '../standing/standing.ts';
import type { Backends } from './backends.ts';

/** No member can be tried. */
export const NO_MEMBER = -1;

/** Members whose positions fit a mask of tried ones; of the others only the last failed is known. */
export const TRIED_BITS = 8;

export interface Member {
  readonly slot: number;
  /** Share of attempts relative to the other members; 0 gets none. */
  readonly weight: number;
}

export interface Balancer {
  /**
   * `key` is the hash of what the request is balanced by, 0 when there is none. The position of a member that is addressed, fit (`Standing`), has weight, is not in `tried` (a bit a position) and is not `failed` (a position or
   * NO_MEMBER); one that failed elsewhere a moment ago only when there is no other. NO_MEMBER when there is none.
   */
  pick(key: number, tried: number, failed: number): number;
}

/** The members of one upstream, and who of them may be chosen. */
export class Members {
  readonly count: number;
  readonly slots: Int32Array;
  readonly weights: Float64Array;
  readonly backends: Backends;
  readonly standing: Standing;
  /** Place of their upstream. */
  readonly upstream: number;

  constructor(members: readonly Member[], backends: Backends, standing: Standing, upstream: number) {
    this.count = members.length;
    this.slots = Int32Array.from(members, (member) => member.slot);
    this.weights = Float64Array.from(members, (member) => member.weight);
    this.backends = backends;
    this.standing = standing;
    this.upstream = upstream;
  }

  /** `areAvoidedTaken`: the second look, when nobody was left in the first. */
  isEligible(position: number, tried: number, failed: number, areAvoidedTaken: boolean): boolean {
    if (position === failed || this.weights[position]! <= 0) return false;
    if (position < TRIED_BITS && (tried & (1 << position)) !== 0) return false;
    const slot = this.slots[position]!;
    if (!this.backends.hasAddress(slot)) return false;
    return areAvoidedTaken || !this.backends.isAvoided(slot);
  }

  /** The first eligible position from `start` on, around the end; NO_MEMBER when there is none. */
  eligibleFrom(start: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    for (let i = 0, position = start; i < this.count; i++) {
      if (this.isEligible(position, tried, failed, areAvoidedTaken)) return position;
      position = position + 1 === this.count ? 0 : position + 1;
    }
    return NO_MEMBER;
  }
}
