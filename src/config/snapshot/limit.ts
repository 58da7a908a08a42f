/** Limits, their budgets and who is let in, as a snapshot has them. */

import type { KeySnapshot } from './key.ts';
import type { ConditionSnapshot } from './match.ts';

/**
 * At most `max` in flight, `queue` more waiting for at most `queueTimeoutMs`; 0 for no limit, no
 * queue.
 */
export interface BulkheadSnapshot {
  readonly max: number;
  readonly queue: number;
  readonly queueTimeoutMs: number;
}

/** Limit of exchanges in flight that follows the latency. */
export interface ConcurrencySnapshot {
  readonly algorithm: 'gradient' | 'aimd';
  readonly initial: number;
  readonly min: number;
  readonly max: number;
  /** AIMD: an answer slower than this (or a timeout) makes the limit smaller. */
  readonly targetMs: number;
  /**
   * Gradient: how much slower than the best the latency may be before the limit shrinks (1.5 = half
   * as much again).
   */
  readonly tolerance: number;
  /**
   * Where each priority class begins to be shed, as a share of the limit: low, normal, high;
   * critical only at the limit.
   */
  readonly brownout: readonly [low: number, normal: number, high: number];
}

/** What is done by default when a queue stands before the backends. */
export interface OverloadSnapshot {
  readonly isGuarded: boolean;
  /** Queueing delay at the backends that is left alone. */
  readonly targetMs: number;
  /** Most that may wait at the edge, and how long: usually, and while the line does not end. */
  readonly queue: number;
  readonly maxWaitMs: number;
  readonly standingWaitMs: number;
}

export interface RetryBudgetSnapshot {
  /** Share of the requests of the window that may be retried. */
  readonly ratio: number;
  /** Retries a second that are allowed whatever the share. */
  readonly minPerSecond: number;
  readonly windowMs: number;
}

/** Token bucket: `requests` each `periodMs`, up to `burst` at once. */
export interface RateLimitSnapshot {
  readonly name: string;
  /** All parts together are the key; empty for one bucket for all. */
  readonly keys: readonly KeySnapshot[];
  readonly requests: number;
  readonly periodMs: number;
  readonly burst: number;
  /** Keys held at most; the one unused longest goes first. */
  readonly maxKeys: number;
  /** Kept in the store for all edges. */
  readonly isShared: boolean;
  /** When the store does not answer: count alone, let pass, or refuse. */
  readonly onStoreFailure: 'local' | 'pass' | 'refuse';
}

/** Deny wins over allow; with an allow list everything else is denied. */
export interface AccessSnapshot {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  /** All conditions of one of them must fit; empty for everyone. */
  readonly certificates: readonly (readonly ConditionSnapshot[])[];
  readonly deniedCertificates: readonly (readonly ConditionSnapshot[])[];
}

export type Priority = 'low' | 'normal' | 'high' | 'critical';

export interface StoreSnapshot {
  readonly kind: 'redis';
  /** `redis://` or `rediss://`. A secret: it may hold a password. */
  readonly url: string;
  readonly prefix: string;
  readonly timeoutMs: number;
}
