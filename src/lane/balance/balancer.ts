/**
 * The contract of balancers: of the members of a pool, which gets this attempt. Members are named
 * by their position in the pool. A policy (`./policy.ts`) only prefers; who may be chosen at all
 * stands in `./members.ts`, and from which tier in `./tiers.ts`, the same for every policy.
 */

/** No member can be tried. */
export const NO_MEMBER = -1;

/**
 * Members whose positions fit a mask of tried ones; of the others only the last failed is known.
 */
export const TRIED_BITS = 8;

export interface Balancer {
  /**
   * `key` is the hash of what the request is balanced by, 0 when there is none. The position of a
   * member that is addressed, fit (`Standing`), has weight, is not in `tried` (a bit a position)
   * and is not `failed` (a position or NO_MEMBER); one that failed elsewhere a moment ago only when
   * there is no other. NO_MEMBER when there is none.
   */
  pick(key: number, tried: number, failed: number): number;

  /** Might the member at `position` be picked now? For sessions that stick to it. */
  isAvailable(position: number): boolean;
}
