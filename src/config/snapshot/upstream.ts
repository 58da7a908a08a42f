/** Upstreams and their backends, as a snapshot has them. */

import type { BalanceSnapshot, LocalitySnapshot } from './balance.ts';
import type { BulkheadSnapshot, ConcurrencySnapshot, OverloadSnapshot, RetryBudgetSnapshot } from './limit.ts';
import type { BreakerSnapshot, HealthSnapshot, OutlierSnapshot } from './standing.ts';

export interface UpstreamSnapshot {
  readonly name: string;
  readonly balance: BalanceSnapshot;
  /** Slots of its backends, in configured order. */
  readonly slots: readonly number[];
  readonly breaker: BreakerSnapshot;
  readonly outlier: OutlierSnapshot;
  /**
   * Share of the backends that may be ejected at once, by breakers and outliers together; one
   * always may.
   */
  readonly maxEjected: number;
  /** Below this share of backends that may be picked, all are: 0 for never. */
  readonly panicBelow: number;
  /** Time over which a backend that comes back gets its full share; 0 for at once. */
  readonly slowStartMs: number;
  readonly health: HealthSnapshot | undefined;
  readonly bulkhead: BulkheadSnapshot;
  readonly concurrency: ConcurrencySnapshot | undefined;
  /** Counts where there is neither of the two. */
  readonly overload: OverloadSnapshot;
  readonly retryBudget: RetryBudgetSnapshot;
  readonly hedgeBudget: RetryBudgetSnapshot;
  readonly locality: LocalitySnapshot;
  /** Files of what its backends are held against and shown; undefined where there are none. */
  readonly trustFiles: TrustFilesSnapshot | undefined;
}

/** Paths are absolute; empty for none. */
export interface TrustFilesSnapshot {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly key_passphrase_file: string;
}

export interface ClientCertificateSnapshot {
  readonly chainPem: string;
  readonly keyPem: string;
}

export interface BackendSnapshot {
  readonly slot: number;
  readonly upstream: string;
  /** As configured. */
  readonly url: string;
  readonly scheme: 'h2c' | 'http' | 'https';
  readonly host: string;
  readonly port: number;
  /** Share of attempts relative to the other backends of its tier; can be changed at run time. */
  readonly weight: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly zone: string;
  /** Lower tiers are used first. */
  readonly tier: number;
  readonly serverName: string;
  readonly isVerified: boolean;
  readonly caPem: string;
  /** Shown to the backend when it asks. */
  readonly clientCertificate: ClientCertificateSnapshot | undefined;
  /** `1.2` or `1.3`. */
  readonly minTlsVersion: string;
  readonly maxTlsVersion: string;
  /** Base64 SHA-256 of public keys, one of which the verified chain must have; empty for any. */
  readonly pins: readonly string[];
  readonly maxSessions: number;
  readonly maxStreamsPerSession: number;
  /** Sessions of its own that a client may have, a shard, where NTLM or Negotiate bound them. */
  readonly maxBound: number;
  readonly boundIdleMs: number;
  readonly sessionIdleTimeoutMs: number;
  readonly sessionMaxAgeMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly streamWindowBytes: number;
  readonly sessionWindowBytes: number;
  readonly maxHeadBytes: number;
  readonly maxFields: number;
  /** How often the name is resolved again; 0 for addresses. */
  readonly resolveIntervalMs: number;
}
