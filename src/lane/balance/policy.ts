/**
 * The contract of policies: of the members of one tier, which one is preferred. They answer with a
 * place among these members, not with a position of the pool.
 */

export interface Policy {
  /**
   * The place of an eligible member (`Members.isEligible` with the last three), NO_MEMBER when
   * there is none. `key` as for `Balancer`.
   */
  pick(key: number, tried: number, failed: number, areAvoidedTaken: boolean): number;

  /** Weights of the members are others than at the last call (or at construction). */
  reweigh(): void;
}
