/** From a configuration that was found good, and the files it points at, to the frozen snapshot. Nothing here can fail or touches the disk. */

import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { routeName } from './agreement.ts';
import { generationOf } from './generation.ts';
import type { Config } from './schema/config.ts';
import type { Listener } from './schema/listener.ts';
import type { Route } from './schema/route.ts';
import { parseBackendUrl } from './schema/rules.ts';
import type { Upstream } from './schema/upstream.ts';
import type { BackendSnapshot, CertificateSnapshot, ListenerSnapshot, RouteSnapshot, Snapshot, UpstreamSnapshot } from './snapshot.ts';

/** What was read from disk for a configuration. */
export interface ReadFiles {
  /** By listener, those that are usable. */
  readonly certificates: readonly (readonly CertificateSnapshot[])[];
  /** PEM text by path as configured. */
  readonly authorities: ReadonlyMap<string, string>;
  readonly token: string;
  /** SHA-256 by absolute path. */
  readonly digests: Readonly<Record<string, string>>;
}

/** The frozen snapshot of a configuration without mistakes. */
export function assembleSnapshot(config: Config, read: ReadFiles): Snapshot {
  const backends: BackendSnapshot[] = [];
  const upstreams = Object.entries(config.upstreams).map(([name, upstream]) =>
    upstreamSnapshot(name, upstream, read.authorities.get(upstream.tls.ca) ?? '', backends),
  );
  const snapshot: Snapshot = {
    generation: generationOf(config, read.digests),
    listeners: config.listeners.map((listener, place) => listenerSnapshot(listener, read.certificates[place] ?? [])),
    upstreams,
    backends,
    routes: config.routes.map((route) => routeSnapshot(route, upstreams)),
    tenants: [],
    store: undefined,
    shards: {
      count: config.shards.count === 'auto' ? Math.min(availableParallelism(), 256) : config.shards.count,
      stallTimeoutMs: config.shards.stall_timeout,
    },
    admin: { address: config.admin.address, token: read.token },
    log: {
      level: config.log.level,
      isAccessLogged: config.log.access.enabled,
      accessSample: config.log.access.sample,
      areFailuresAlwaysLogged: config.log.access.failures,
    },
    drain: { timeoutMs: config.drain.timeout, delayMs: config.drain.delay },
    limits: { maxExchanges: config.limits.max_exchanges },
  };
  return freezeDeep(snapshot);
}

function listenerSnapshot(listener: Listener, certificates: readonly CertificateSnapshot[]): ListenerSnapshot {
  const { quic, http } = listener;
  return {
    name: listener.name,
    address: listener.address,
    certificates,
    congestion: quic.congestion,
    idleTimeoutMs: quic.idle_timeout,
    handshakeTimeoutMs: quic.handshake_timeout,
    maxConnections: listener.max_connections,
    maxStreams: quic.max_streams,
    streamWindowBytes: quic.stream_window,
    connectionWindowBytes: quic.connection_window,
    maxUdpPayloadBytes: quic.max_udp_payload,
    isGsoAllowed: quic.gso,
    isGroAllowed: quic.gro,
    isPaced: quic.pacing,
    receiveBufferBytes: quic.receive_buffer,
    sendBufferBytes: quic.send_buffer,
    maxHeadBytes: http.max_head,
    maxFields: http.max_fields,
    isNormalised: true,
    areSlashesMerged: true,
    escapedSlashes: 'keep',
    trustedNetworks: [],
  };
}

/** Numbers the backends of one upstream: each takes the next slot of `all`. */
function upstreamSnapshot(name: string, upstream: Upstream, caPem: string, all: BackendSnapshot[]): UpstreamSnapshot {
  const { balance, pool, tls } = upstream;
  const slots: number[] = [];
  for (const { url, weight, server_name: serverName } of upstream.backends) {
    const parts = parseBackendUrl(url);
    if (parts === undefined) throw new TypeError(`the schema let ${url} pass`);
    const slot = all.length;
    slots.push(slot);
    all.push({
      slot,
      upstream: name,
      url,
      ...parts,
      weight,
      labels: {},
      zone: '',
      tier: 0,
      serverName: serverName === '' ? parts.host : serverName,
      isVerified: tls.verify,
      caPem,
      maxSessions: pool.max_sessions,
      maxStreamsPerSession: pool.max_streams,
      sessionIdleTimeoutMs: pool.idle_timeout,
      sessionMaxAgeMs: pool.max_age,
      pingIntervalMs: pool.ping_interval,
      pingTimeoutMs: pool.ping_timeout,
      streamWindowBytes: pool.stream_window,
      sessionWindowBytes: pool.session_window,
      maxHeadBytes: pool.max_head,
      maxFields: pool.max_fields,
      resolveIntervalMs: isIP(parts.host) === 0 ? upstream.resolve.interval : 0,
    });
  }
  return {
    name,
    balance: {
      policy: balance.policy,
      decayMs: balance.decay,
      keys: [],
      ringPoints: 100,
      maglevSize: 65_537,
      loadBound: 1.25,
      sticky: undefined,
    },
    slots,
    breaker: {
      failures: { isConnectCounted: true, isResetCounted: true, isTimeoutCounted: true, statuses: [502, 503, 504], grpcStatuses: [14] },
      consecutive: 5,
      rate: 0,
      minRequests: 20,
      count: 0,
      windowMs: 10_000,
      ejectMs: 5_000,
      maxEjectMs: 300_000,
      probes: 1,
      successes: 2,
    },
    outlier: { isOn: false, intervalMs: 10_000, minBackends: 5, minRequests: 100, deviations: 1.9 },
    maxEjected: 0.5,
    panicBelow: 0.5,
    slowStartMs: 0,
    health: undefined,
    bulkhead: NO_BULKHEAD,
    concurrency: undefined,
    retryBudget: { ratio: 0.2, minPerSecond: 10, windowMs: 10_000 },
    hedgeBudget: { ratio: 0.05, minPerSecond: 1, windowMs: 10_000 },
    locality: { zone: '', healthyShare: 0.7 },
  };
}

function routeSnapshot(route: Route, upstreams: readonly UpstreamSnapshot[]): RouteSnapshot {
  const { match, timeouts } = route;
  return {
    name: routeName(route),
    match: {
      host: match.host,
      path: match.path,
      pathKind: match.exact ? 'exact' : 'prefix',
      methods: [],
      headers: [],
      query: [],
      cookies: [],
      networks: [],
      tenant: -1,
    },
    targets: [{ upstream: upstreams.findIndex(({ name }) => name === route.upstream), weight: 100, subset: {} }],
    redirect: undefined,
    fixed: undefined,
    splitKeys: [],
    fallback: { kind: 'none' },
    connectTimeoutMs: timeouts.connect,
    headTimeoutMs: timeouts.head,
    idleTimeoutMs: timeouts.idle,
    exchangeTimeoutMs: timeouts.exchange,
    attemptTimeoutMs: 0,
    deadlineHeader: '',
    isGrpcTimeoutObeyed: false,
    maxBodyBytes: route.max_body,
    retries: {
      attempts: route.retries,
      on: { isConnect: true, isRefused: true, isReset: true, isTimeout: false, statuses: [], grpcStatuses: [] },
      methods: [],
      backoffBaseMs: 25,
      backoffMaxMs: 250,
      maxRetryAfterMs: 0,
      bufferBytes: 65_536,
    },
    hedge: undefined,
    rateLimits: [],
    access: { allow: [], deny: [] },
    bulkhead: NO_BULKHEAD,
    priority: 'normal',
    path: { kind: 'keep' },
    requestEdits: [],
    responseEdits: [],
    isRequestIdKept: route.request_id.trust,
    forwarded: route.forwarded.style,
    forwardedTrusted: route.forwarded.trust ? 'append' : 'overwrite',
    hostPolicy: route.host,
    host: '',
  };
}

const NO_BULKHEAD = { max: 0, queue: 0, queueTimeoutMs: 1_000 };

function freezeDeep<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) freezeDeep(item);
  }
  return value;
}
