/**
 * Limits that several edges share are kept in a store. What the lane needs of one: it is asked in
 * one turn and answers in a later one; meanwhile the exchange waits. Answers are kept by exchange
 * until it comes back for them.
 */

import type { RateLimitSnapshot } from '../../../config/snapshot/limit.ts';
import type { KeySeed } from '../../head/key.ts';

/** Nothing is known: it was not asked, or did not answer. */
export const NOT_ASKED = 0;
export const ALLOWED = 1;
export const REFUSED = 2;
export type StoreAnswer = typeof NOT_ASKED | typeof ALLOWED | typeof REFUSED;

export interface SharedStore {
  /** How long an exchange may wait for an answer. */
  readonly timeoutMs: number;
  /**
   * Of the last REFUSED that was taken: number of the limit, and when a request would pass again.
   */
  readonly refusing: number;
  readonly waitMs: number;
  /** The seed of keys in the store: one for all edges, for a limit. */
  seedOf(limit: string): KeySeed;
  /** It did not answer lately and is not to be asked now. */
  isMissed(nowMs: number): boolean;
  /** A question of an exchange begins; limits are added to it, then it is sent. */
  begin(exchangeIndex: number, exchangeGeneration: number): void;
  add(number: number, limit: RateLimitSnapshot, low: number, high: number): void;
  send(nowMs: number): void;
  /** The answer for an exchange, once. */
  take(exchangeIndex: number, exchangeGeneration: number, nowMs: number): StoreAnswer;
  /** The exchange is gone: nobody comes for its answer. */
  forget(exchangeIndex: number, exchangeGeneration: number): void;
  /** No more questions. */
  close(): void;
}
