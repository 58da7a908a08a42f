/**
 * The contract of balancers: they pick the member of a pool that gets an attempt. Members are named
 * by their position in the pool. A policy (`./policy.ts`) only states a preference. Which members
 * may be picked at all (`./members.ts`) and from which tier (`./tiers.ts`) is the same for every
 * policy.
 */

/** No member can be picked. */
export const NO_MEMBER = -1;

/**
 * Positions that fit into a mask of tried members. Beyond them only the last failed member is
 * known.
 */
export const TRIED_BITS = 8;

export interface Balancer {
  /**
   * Returns the position of a member that has an address and weight, is fit (`Standing`), is not in
   * `tried` (one bit per position) and is not `failed` (a position or NO_MEMBER); NO_MEMBER if
   * there is none. A member that just failed elsewhere is picked only if there is no other. `key`
   * is the hash that the request is balanced by, 0 if there is none.
   */
  pick(key: number, tried: number, failed: number): number;

  /** Whether the member at `position` may be picked now. For sticky sessions. */
  isAvailable(position: number): boolean;
}
