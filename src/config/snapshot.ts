/**
 * The frozen form of a configuration: files read, paths absolute, durations in milliseconds, sizes in bytes, every backend numbered. It is
 * plain data, so that it can be posted to a shard. Prepared by `prepareSnapshot`, swapped whole, never changed.
 */

import type { CertificateFact } from './schema/certificate-fact.ts';
import type { ClientCertificates } from './schema/client-certificates.ts';
import type { Certificate } from './schema/listener.ts';

export interface Snapshot {
  /** SHA-256 of the canonical configuration (fast-json-stable-stringify), hex. */
  readonly generation: string;
  /** Which places of this list and the next are in use says `numbering`. */
  readonly listeners: readonly ListenerSnapshot[];
  readonly certificates: CertificatesSnapshot;
  readonly upstreams: readonly UpstreamSnapshot[];
  /**
   * Every backend of every upstream; its place in this list is its slot. Which places of this list
   * and the next are in use says `numbering`.
   */
  readonly backends: readonly BackendSnapshot[];
  readonly routes: readonly RouteSnapshot[];
  /** In the order in which they are asked for a match. */
  readonly tenants: readonly TenantSnapshot[];
  /** Where shared rate limits are kept; undefined when no limit is shared. */
  readonly claims: ClaimsSnapshot;
  readonly store: StoreSnapshot | undefined;
  readonly shards: ShardsSnapshot;
  readonly admin: AdminSnapshot;
  readonly log: LogSnapshot;
  readonly drain: DrainSnapshot;
  readonly reload: ReloadSnapshot;
  readonly limits: LimitsSnapshot;
  /**
   * Which numbers of the lists are in use; without it every number is, in configured order
   * (`./numbering.ts`).
   */
  readonly numbering?: NumberingSnapshot;
}

/**
 * Numbers that outlive a snapshot: what is in two snapshots one after the other has the same place
 * in the lists of both.
 */
export interface NumberingSnapshot {
  /** For how many of each the tables that lanes share have room. */
  readonly room: RoomSnapshot;
  /**
   * In configured order. The other places of the lists are kept for exchanges that began before
   * what stood there was removed.
   */
  readonly upstreams: readonly number[];
  readonly backends: readonly number[];
  readonly routes: readonly number[];
  readonly tenants: readonly number[];
  readonly listeners: readonly number[];
  /** Fields in which trusted proxies tell the client, by number; empty where nobody knows it. */
  readonly clientFields: readonly string[];
  /** What pools mean, by number. */
  readonly pools: readonly PoolSnapshot[];
}

export interface PoolSnapshot extends Pick<TargetSnapshot, 'upstream' | 'subset'> {
  /** A route uses it. */
  readonly isUsed: boolean;
}

export interface RoomSnapshot {
  readonly upstreams: number;
  readonly backends: number;
  readonly routes: number;
  readonly tenants: number;
  readonly listeners: number;
}

export interface CertificateSnapshot {
  /** What it is called in logs and metrics. */
  readonly label: string;
  /** Never empty: those of the leaf where none are configured. */
  readonly names: readonly string[];
  readonly chainPem: string;
  /** PKCS#8, not encrypted. */
  readonly keyPem: string;
  /** OCSP response in DER; empty for none. */
  readonly ocsp: Uint8Array;
  /** As configured, its paths absolute: what a rotation reads again. */
  readonly source: Certificate;
}

/** What clients must prove with a certificate of their own. */
export interface ClientAuthSnapshot {
  /** Server names that it is for; none for all others. */
  readonly names: readonly string[];
  readonly mode: 'off' | 'optional' | 'required' | 'any';
  /** Certificates of the authorities. */
  readonly caPem: string;
  /** Whether clients are told their names. */
  readonly tellsAuthorities: boolean;
  readonly maxDepth: number;
  readonly maxBytes: number;
  /** In which fields backends are told of it. */
  readonly forward: readonly ForwardFieldSnapshot[];
  readonly lists: readonly RevocationSnapshot[];
  readonly acceptsExpiredLists: boolean;
  readonly acceptsMissingLists: boolean;
  /** SHA-256, hex. */
  readonly denied: readonly string[];
  readonly allowed: ClientCertificates['allow'];
  readonly keepsConnections: boolean;
  /** As configured, its paths absolute: what is read again when a file changes. */
  readonly source: ClientCertificates;
}

/** A field that tells backends something of a client's certificate. */
export interface ForwardFieldSnapshot {
  /** Lower-case. */
  readonly name: string;
  readonly fact: 'certificate' | 'chain' | 'verdict' | 'fingerprint' | 'serial' | 'subject' | 'issuer' | 'names';
}

/** A revocation list whose signature was verified. */
export interface RevocationSnapshot {
  /** SHA-256 of the certificate of the authority that signed it. */
  readonly signer: Uint8Array;
  readonly signerName: string;
  readonly thisUpdateMs: number;
  /** Infinity where it does not say so. */
  readonly nextUpdateMs: number;
  /** How many certificates it names. */
  readonly count: number;
  /** Serial numbers, each with its length before it. */
  readonly serials: Uint8Array;
}

/** How files of certificates are followed. */
export interface CertificatesSnapshot {
  readonly isWatched: boolean;
  readonly pollMs: number;
}

export interface ListenerSnapshot {
  readonly name: string;
  /** `ip:port`; port 0 takes a free one. */
  readonly address: string;
  readonly certificates: readonly CertificateSnapshot[];
  /** What becomes of clients that ask for no name which a certificate is for. */
  readonly unknownName: 'default' | 'refuse';
  /** Requests for authorities that the handshake's certificate does not name get 421. */
  readonly isStrict: boolean;
  /** Key exchange in order of preference. */
  readonly groups: readonly string[];
  readonly ticketRotationMs: number;
  /** Keys of session tickets, the first seals; none where the process makes its own. */
  readonly ticketKeys: readonly Uint8Array[];
  /** Absolute; empty where the process makes its own. */
  readonly ticketKeysFile: string;
  /** What clients must prove; the first is for all names that no other is for. */
  readonly clientAuth: readonly ClientAuthSnapshot[];
  readonly congestion: 'cubic' | 'bbr';
  readonly idleTimeoutMs: number;
  /** 0 for none. */
  readonly keepAliveMs: number;
  readonly handshakeTimeoutMs: number;
  /** Of all shards. */
  readonly maxConnections: number;
  /** Of all shards; 0 for no such limit. */
  readonly maxConnectionsPerClient: number;
  /** Bits of an address that make a client, by family. */
  readonly clientPrefix4: number;
  readonly clientPrefix6: number;
  /** CIDR blocks that have no such limit. */
  readonly exemptNetworks: readonly string[];
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
  /** Bytes a second; 0 for none. */
  readonly minRate: number;
  readonly minRatePeriodMs: number;
  readonly maxCookieCrumbs: number;
  /** Heads are made canonical before anyone sees them. */
  readonly isNormalised: boolean;
  readonly areSlashesMerged: boolean;
  readonly escapedSlashes: 'keep' | 'reject';
  /** Proxies of one's own: what they say of the client is believed. */
  readonly trustedNetworks: readonly TrustedNetworkSnapshot[];
}

export interface TrustedNetworkSnapshot {
  /** An address or a CIDR block. */
  readonly network: string;
  /** Lower case: the field in which its proxies tell the client. */
  readonly field: string;
}

/**
 * Different fields in which proxies tell the client: as many as a memo tells apart
 * (`src/lane/memo.ts`).
 */
export const MAX_CLIENT_FIELDS = 7;

/** What of a request tells it from others: for hashing, sticking and limiting. */
export interface KeySnapshot {
  readonly kind:
    | 'header'
    | 'cookie'
    | 'query'
    | 'certificate'
    | 'path'
    | 'authority'
    | 'method'
    | 'client'
    | 'connection'
    | 'tenant'
    | 'route';
  /**
   * Of header (lower case), cookie, query parameter, fact of a certificate; empty for the others.
   */
  readonly name: string;
  /** Bits of the client's address that count, by family; 32 and 128 for the whole. Only for `client`. */
  readonly prefix4: number;
  readonly prefix6: number;
}

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
  /** A member may have this multiple of its fair share in flight before the next on the ring is taken; 0 for no bound. */
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

/** What counts as a failure of a backend. */
export interface FailureSnapshot {
  readonly isConnectCounted: boolean;
  readonly isResetCounted: boolean;
  readonly isTimeoutCounted: boolean;
  readonly statuses: readonly number[];
  readonly grpcStatuses: readonly number[];
}

export interface BreakerSnapshot {
  readonly failures: FailureSnapshot;
  /** Failures in a row; 0 for off. */
  readonly consecutive: number;
  /** Share of failures over the window, 0 to 1; 0 for off. */
  readonly rate: number;
  /** Requests there must be in the window before the rate is looked at. */
  readonly minRequests: number;
  /** Failures in the window, whatever the rate; 0 for off. */
  readonly count: number;
  readonly windowMs: number;
  /** How long a backend is ejected the first time; each time in a row it is twice as long, up to the maximum. */
  readonly ejectMs: number;
  readonly maxEjectMs: number;
  /** Probes at once while half-open, and how many must succeed. */
  readonly probes: number;
  readonly successes: number;
}

/** Ejection of backends that do worse than the others of their upstream. */
export interface OutlierSnapshot {
  readonly isOn: boolean;
  readonly intervalMs: number;
  /** Backends and requests each there must be before they are compared. */
  readonly minBackends: number;
  readonly minRequests: number;
  /** Ejected below mean − factor × standard deviation of the success rates. */
  readonly deviations: number;
}

export interface HealthSnapshot {
  readonly protocol: 'h2' | 'http/1.1' | 'h3';
  readonly method: 'GET' | 'HEAD';
  readonly path: string;
  /** Authority to ask for; empty for the backend's own. */
  readonly host: string;
  /** Port to ask instead of the backend's; 0 for the same. */
  readonly port: number;
  readonly intervalMs: number;
  /** While it fails or its state is about to change. */
  readonly failingIntervalMs: number;
  /** Share of the interval by which each one is moved at random. */
  readonly jitter: number;
  readonly timeoutMs: number;
  readonly healthyAfter: number;
  readonly unhealthyAfter: number;
  readonly statuses: readonly number[];
  /** Text the first 64 KiB of the body must have; empty for any. */
  readonly body: string;
}

/** At most `max` in flight, `queue` more waiting for at most `queueTimeoutMs`; 0 for no limit, no queue. */
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
  /** Gradient: how much slower than the best the latency may be before the limit shrinks (1.5 = half as much again). */
  readonly tolerance: number;
  /** Where each priority class begins to be shed, as a share of the limit: low, normal, high; critical only at the limit. */
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

export interface LocalitySnapshot {
  /** Zone of this edge: backends of the same zone are tier 0 unless they say otherwise. */
  readonly zone: string;
  /** Share of a tier that must be healthy to carry all; below it the next tier takes the rest. */
  readonly healthyShare: number;
}

export interface UpstreamSnapshot {
  readonly name: string;
  readonly balance: BalanceSnapshot;
  /** Slots of its backends, in configured order. */
  readonly slots: readonly number[];
  readonly breaker: BreakerSnapshot;
  readonly outlier: OutlierSnapshot;
  /** Share of the backends that may be ejected at once, by breakers and outliers together; one always may. */
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

/** A condition on a field, a query parameter or a cookie. Where there are several of the name, one must fit. */
export interface ConditionSnapshot {
  /** Lower case for fields. */
  readonly name: string;
  readonly kind: 'present' | 'absent' | 'exact' | 'prefix' | 'suffix' | 'contains' | 'regex';
  readonly value: string;
}

export interface MatchSnapshot {
  /** Lower case, no port; `*.a.test` for a wildcard of one or more labels; `*` for any. */
  readonly host: string;
  /** Canonical; for `regex` an RE2 pattern that must take the whole path. */
  readonly path: string;
  /** `prefix` matches on segment borders: `/a` takes `/a` and `/a/b`, not `/ab`. */
  readonly pathKind: 'prefix' | 'exact' | 'regex';
  /** Any of them; empty for all. */
  readonly methods: readonly string[];
  /** All of them. */
  readonly headers: readonly ConditionSnapshot[];
  readonly query: readonly ConditionSnapshot[];
  readonly cookies: readonly ConditionSnapshot[];
  /** What the client's certificate says, by fact. */
  readonly certificate: readonly ConditionSnapshot[];
  /** CIDR blocks, any of them; empty for all. Of the client behind trusted proxies. */
  readonly networks: readonly string[];
  /** Place in `tenants`; -1 for requests of no tenant, and of a tenant none of whose own routes takes them. */
  readonly tenant: number;
}

/** `name` may hold `*` for `remove` and is a pattern for `remove-regex`; `value` may hold variables (`docs/routing.md`). */
export interface EditSnapshot {
  readonly op: 'set' | 'add' | 'append' | 'remove' | 'remove-regex';
  readonly name: string;
  readonly value: string;
}

export type PathEditSnapshot =
  | { readonly kind: 'keep' }
  /** The matched prefix (or `prefix`, when the route matches otherwise) is replaced; an empty replacement strips it. */
  | { readonly kind: 'prefix'; readonly prefix: string; readonly replacement: string }
  /** RE2 pattern on the path without query; `replacement` may use $1 … $9. */
  | { readonly kind: 'regex'; readonly pattern: string; readonly replacement: string };

/** An answer of the route's own. */
export interface FixedSnapshot {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Latin-1, at most 16 KiB. */
  readonly body: string;
}

export interface RedirectSnapshot {
  readonly status: 301 | 302 | 303 | 307 | 308;
  /** Empty parts are the request's. */
  readonly scheme: string;
  readonly host: string;
  /** 0 for the request's (or none when the scheme changes). */
  readonly port: number;
  readonly path: PathEditSnapshot;
  readonly isQueryKept: boolean;
}

/** One of the upstreams a route sends to. */
export interface TargetSnapshot {
  /** Place in `upstreams`. */
  readonly upstream: number;
  /** Share of the requests, relative to the other targets; can be changed at run time. */
  readonly weight: number;
  /** Only backends that have all these labels. */
  readonly subset: Readonly<Record<string, string>>;
}

export interface RetrySnapshot {
  /** Attempts beside the first. */
  readonly attempts: number;
  readonly on: {
    readonly isConnect: boolean;
    readonly isRefused: boolean;
    readonly isReset: boolean;
    readonly isTimeout: boolean;
    readonly statuses: readonly number[];
    readonly grpcStatuses: readonly number[];
  };
  /** Methods beyond the idempotent ones that may be repeated all the same. */
  readonly methods: readonly string[];
  /** Full jitter: a random time between 0 and base × 2^n, at most the maximum. The first is `baseMs`; 0 for at once. */
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** A Retry-After of the response is waited for when it is not longer than this; 0 to take no notice. */
  readonly maxRetryAfterMs: number;
  /** Bytes of a request body kept for another attempt. */
  readonly bufferBytes: number;
}

export interface HedgeSnapshot {
  /** Fixed delay; 0 takes the percentile. */
  readonly delayMs: number;
  /** Of the route's recent response times, 0 to 1. */
  readonly percentile: number;
  /** Never earlier than this, and this while too little is known. */
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
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

/** What only trusted proxies may say. */
export interface ClaimsSnapshot {
  /** Fields that are removed from the heads of others. */
  readonly fields: readonly string[];
  readonly underscores: 'drop' | 'refuse' | 'pass';
  /** Names with an underscore that pass. */
  readonly underscoreNames: readonly string[];
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

export type FallbackSnapshot =
  | { readonly kind: 'none' }
  | { readonly kind: 'upstream'; readonly target: TargetSnapshot }
  | { readonly kind: 'fixed'; readonly answer: FixedSnapshot };

export interface RouteSnapshot {
  /** Name in metrics and logs: configured, or made from the match. */
  readonly name: string;
  readonly match: MatchSnapshot;
  /** Exactly one of the three says what becomes of the request. */
  readonly targets: readonly TargetSnapshot[];
  readonly redirect: RedirectSnapshot | undefined;
  readonly fixed: FixedSnapshot | undefined;
  /** Keeps a key with its target while the weights stay; empty draws for each request. */
  readonly splitKeys: readonly KeySnapshot[];
  /** When no backend can be had, or every attempt failed. */
  readonly fallback: FallbackSnapshot;
  /** Responses in whose place the fallback answers. */
  readonly fallbackOn: { readonly statuses: readonly number[]; readonly grpcStatuses: readonly number[] };
  readonly connectTimeoutMs: number;
  readonly placeTimeoutMs: number;
  readonly headTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** 0 for none. */
  readonly exchangeTimeoutMs: number;
  /** From the decision to the response head of one attempt; 0 for none. */
  readonly attemptTimeoutMs: number;
  /** Field of the client that shortens the exchange's time, in milliseconds; empty for none. */
  readonly deadlineHeader: string;
  /** `grpc-timeout` shortens it, and is lowered upstream. */
  readonly isGrpcTimeoutObeyed: boolean;
  /** -1 for none. */
  readonly maxBodyBytes: number;
  readonly retries: RetrySnapshot;
  readonly hedge: HedgeSnapshot | undefined;
  readonly rateLimits: readonly RateLimitSnapshot[];
  readonly access: AccessSnapshot;
  readonly bulkhead: BulkheadSnapshot;
  readonly priority: Priority;
  readonly path: PathEditSnapshot;
  readonly requestEdits: readonly EditSnapshot[];
  readonly responseEdits: readonly EditSnapshot[];
  /** Trust the client's x-request-id. */
  readonly isRequestIdKept: boolean;
  /** Which forwarded headers are written. */
  readonly forwarded: 'x-forwarded' | 'forwarded' | 'both' | 'off';
  /** What becomes of forwarded fields that come from a trusted network; those of anyone else are overwritten. */
  readonly forwardedTrusted: 'append' | 'keep' | 'overwrite';
  /** `keep` sends the client's authority to the backend, `backend` the backend's own, `set` the one in `host`. */
  readonly hostPolicy: 'keep' | 'backend' | 'set';
  /** Backends get the canonical path, not the client's own spelling. */
  readonly isPathCanonical: boolean;
  /** Only for `set`. */
  readonly host: string;
  /** What the edge calls itself in `Via`; empty where it writes none. */
  readonly via: string;
}

/** Part of the edge's clients, told by exactly one of host, header or path prefix. */
export interface TenantSnapshot {
  readonly name: string;
  /** Exact or `*.` wildcards; empty when told otherwise. */
  readonly hosts: readonly string[];
  readonly header: string;
  readonly headerValue: string;
  /** Prefix on a segment border; empty when told otherwise. */
  readonly pathPrefix: string;
  /** The fact of certificates that tells it by `certificateValue`; empty when told otherwise. */
  readonly certificate: '' | CertificateFact;
  readonly certificateValue: string;
  readonly rateLimits: readonly RateLimitSnapshot[];
  /** Exchanges in flight; 0 for no limit. */
  readonly maxInFlight: number;
}

export interface StoreSnapshot {
  readonly kind: 'redis';
  /** `redis://` or `rediss://`. A secret: it may hold a password. */
  readonly url: string;
  readonly prefix: string;
  readonly timeoutMs: number;
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
