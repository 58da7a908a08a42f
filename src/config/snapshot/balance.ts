/** How an upstream's backends share requests, as a snapshot has it. */

import type { KeySnapshot } from './key.ts';

export type BalancePolicy = 'random' | 'round-robin' | 'least-request' | 'peak-ewma' | 'ring-hash' | 'maglev';

export interface BalanceSnapshot {
  readonly policy: BalancePolicy;
  /** Time constant of the peak-EWMA decay, milliseconds. */
  readonly decayMs: number;
  /** For `ring-hash` and `maglev`: tried in order until one gives a key; random when none does. */
  readonly keys: readonly KeySnapshot[];
  /** Points of a member of mean weight on the ring. */
  readonly ringPoints: number;
  /** A prime. */
  readonly maglevSize: number;
  /**
   * A member may have this multiple of its fair share in flight before the next on the ring is
   * taken; 0 for no bound.
   */
  readonly loadBound: number;
  /** Sessions that stay with their backend. */
  readonly sticky: StickySnapshot | undefined;
}

/** `cookie` is sealed with a key of the configuration (32 bytes); `connection` needs none. */
export interface StickySnapshot {
  readonly kind: 'cookie' | 'connection';
  readonly cookie: string;
  readonly path: string;
  /** 0 for a session cookie. */
  readonly maxAgeS: number;
  readonly key: Uint8Array;
}

export interface LocalitySnapshot {
  /** Zone of this edge: backends of the same zone are tier 0 unless they say otherwise. */
  readonly zone: string;
  /** Share of a tier that must be healthy to carry all; below it the next tier takes the rest. */
  readonly healthyShare: number;
}
