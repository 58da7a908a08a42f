/**
 * The frozen form of a configuration: files read, paths absolute, durations in milliseconds, sizes in bytes, every backend numbered. It is
 * plain data, so that it can be posted to a shard. Prepared by `prepareSnapshot`, swapped whole, never changed.
 */

export interface Snapshot {
  /** SHA-256 of the canonical configuration (fast-json-stable-stringify), hex. */
  readonly generation: string;
  readonly listeners: readonly ListenerSnapshot[];
  readonly upstreams: readonly UpstreamSnapshot[];
  /** Every backend of every upstream; its place in this list is its slot. */
  readonly backends: readonly BackendSnapshot[];
  readonly routes: readonly RouteSnapshot[];
  readonly shards: ShardsSnapshot;
  readonly admin: AdminSnapshot;
  readonly log: LogSnapshot;
  readonly drain: DrainSnapshot;
  readonly limits: LimitsSnapshot;
}

export interface CertificateSnapshot {
  readonly names: readonly string[];
  readonly chainPem: string;
  readonly keyPem: string;
}

export interface ListenerSnapshot {
  readonly name: string;
  /** `ip:port`; port 0 takes a free one. */
  readonly address: string;
  readonly certificates: readonly CertificateSnapshot[];
  readonly congestion: 'cubic' | 'bbr';
  readonly idleTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxStreams: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly maxUdpPayloadBytes: number;
  readonly isGsoAllowed: boolean;
  readonly isGroAllowed: boolean;
  readonly isPaced: boolean;
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  readonly maxHeadBytes: number;
  readonly maxFields: number;
}

export type BalancePolicy = 'round-robin' | 'peak-ewma';

export interface UpstreamSnapshot {
  readonly name: string;
  readonly policy: BalancePolicy;
  /** Time constant of the peak-EWMA decay, milliseconds. */
  readonly decayMs: number;
  /** Slots of its backends, in configured order. */
  readonly slots: readonly number[];
}

export interface BackendSnapshot {
  readonly slot: number;
  readonly upstream: string;
  /** As configured. */
  readonly url: string;
  readonly scheme: 'h2c' | 'http' | 'https';
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly serverName: string;
  readonly isVerified: boolean;
  readonly caPem: string;
  readonly maxSessions: number;
  readonly maxStreamsPerSession: number;
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

export interface RouteSnapshot {
  /** Name in metrics and logs: configured, or made from the match. */
  readonly name: string;
  /** Lower case, no port; `*.a.test` for a wildcard of one or more labels; `*` for any. */
  readonly host: string;
  readonly path: string;
  /** `prefix` matches on segment borders: `/a` takes `/a` and `/a/b`, not `/ab`. */
  readonly pathKind: 'prefix' | 'exact';
  /** Place in `upstreams`. */
  readonly upstream: number;
  readonly connectTimeoutMs: number;
  readonly headTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** 0 for none. */
  readonly exchangeTimeoutMs: number;
  /** -1 for none. */
  readonly maxBodyBytes: number;
  /** Attempts beside the first. */
  readonly retries: number;
  /** Trust the client's x-request-id. */
  readonly isRequestIdKept: boolean;
  /** Which forwarded headers are written. */
  readonly forwarded: 'x-forwarded' | 'forwarded' | 'both' | 'off';
  /** Client's own forwarded headers: dropped, or appended to. */
  readonly forwardedTrust: boolean;
  /** `keep` sends the client's authority to the backend, `backend` the backend's own. */
  readonly hostPolicy: 'keep' | 'backend';
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
}

export interface LogSnapshot {
  readonly level: string;
  readonly isAccessLogged: boolean;
  /** Share of exchanges logged, 0 to 1. */
  readonly accessSample: number;
  /** Failures (a reason other than none, or status >= 500) are logged whatever the sample says. */
  readonly areFailuresAlwaysLogged: boolean;
}

export interface DrainSnapshot {
  /** How long exchanges may go on after SIGTERM. */
  readonly timeoutMs: number;
  /** Pause between readiness turning false and GOAWAY, so that balancers notice. */
  readonly delayMs: number;
}

export interface LimitsSnapshot {
  /** Exchanges open at once, a shard. */
  readonly maxExchanges: number;
}
