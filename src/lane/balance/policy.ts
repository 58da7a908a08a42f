/**
 * The contract of policies: which member of one tier is preferred. They return an index into these
 * members, not a position of the pool.
 */

export interface Policy {
  /**
   * The index of an eligible member (`Members.isEligible` with the last three), NO_MEMBER if there
   * is none. `key` as in `Balancer`.
   */
  pick(key: number, tried: number, failed: number, areAvoidedTaken: boolean): number;

  /** Weights have changed since the last call or the construction. */
  reweigh(): void;
}
