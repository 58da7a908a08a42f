/** What is the whole process's, as a snapshot has it. */

/** What only trusted proxies may say. */
export interface ClaimsSnapshot {
  /** Fields that are removed from the heads of others. */
  readonly fields: readonly string[];
  readonly underscores: 'drop' | 'refuse' | 'pass';
  /** Names with an underscore that pass. */
  readonly underscoreNames: readonly string[];
}

export interface ShardsSnapshot {
  readonly count: number;
  /** A lane's call that lasts longer has its worker replaced. */
  readonly stallTimeoutMs: number;
}

export interface AdminSnapshot {
  /** `ip:port`, or empty for no admin API. */
  readonly address: string;
  /** Bearer token; empty when none is asked for (loopback only). */
  readonly token: string;
  /** At once, each of the API and of the probes. */
  readonly maxConnections: number;
  /** `ip:port` where only probes are answered, or empty for none. */
  readonly probesAddress: string;
}

export interface LogSnapshot {
  readonly level: string;
  readonly isAccessLogged: boolean;
  /** Share of exchanges logged, 0 to 1. */
  readonly accessSample: number;
  /** Access lines say whose certificate it was. */
  readonly areCertificatesLogged: boolean;
  /** Failures (a reason other than none, or status >= 500) are logged whatever the sample says. */
  readonly areFailuresAlwaysLogged: boolean;
}

export interface DrainSnapshot {
  /** How long exchanges may go on after SIGTERM. */
  readonly timeoutMs: number;
  /** Pause between readiness turning false and GOAWAY, so that balancers notice. */
  readonly delayMs: number;
}

export interface ReloadSnapshot {
  /** The file is looked at, and reloaded when it is another one. */
  readonly isWatched: boolean;
}

export interface LimitsSnapshot {
  /** Exchanges open at once, a shard. */
  readonly maxExchanges: number;
  /** CONNECTION_REFUSED and Version Negotiation packets a second, a shard. */
  readonly statelessReplies: number;
  /** Bytes held for peers by all shards together. */
  readonly maxHeldBytes: number;
}
