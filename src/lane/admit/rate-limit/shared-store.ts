/**
 * What the lane needs of a store for limits that several edges share. It is asked in one turn and
 * answers in a later one; meanwhile the exchange waits. Answers are kept by exchange until it comes
 * back for them.
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
  /** The last REFUSED that was taken: the limit's number, and when a request would pass. */
  readonly refusing: number;
  readonly waitMs: number;
  /** The seed of a limit's keys in the store, the same for all edges. */
  seedOf(limit: string): KeySeed;
  /** It failed lately and is not to be asked now. */
  isMissed(nowMs: number): boolean;
  /** Begins the question of an exchange: limits are added to it, then it is sent. */
  begin(exchangeIndex: number, exchangeGeneration: number): void;
  add(number: number, limit: RateLimitSnapshot, low: number, high: number): void;
  send(nowMs: number): void;
  /** The answer for an exchange, given once. */
  take(exchangeIndex: number, exchangeGeneration: number, nowMs: number): StoreAnswer;
  /** The exchange is gone; nobody will take its answer. */
  forget(exchangeIndex: number, exchangeGeneration: number): void;
  /** Stops asking. */
  close(): void;
}
