/**
 * Frozen snapshots for tests of what obeys them: one listener, and upstreams, backends and routes as a test names them. Everything else is as
 * the configuration would default it.
 */

import type { BackendSnapshot, RouteSnapshot, Snapshot, UpstreamSnapshot } from '../../src/config/snapshot.ts';

export interface SnapshotWishes {
  upstreams?: readonly {
    name?: string;
    policy?: UpstreamSnapshot['policy'];
    decayMs?: number;
    backends?: readonly Partial<BackendSnapshot>[];
  }[];
  routes?: readonly Partial<RouteSnapshot>[];
  listeners?: readonly string[];
  log?: Partial<Snapshot['log']>;
}

/** Without wishes: upstream `web` with two h2c backends by round robin, and a route for everything. */
export function sampleSnapshot(wishes: SnapshotWishes = {}): Snapshot {
  const backends: BackendSnapshot[] = [];
  const upstreams = (wishes.upstreams ?? [{}]).map((upstream, number) => {
    const name = upstream.name ?? (number === 0 ? 'web' : `web-${number}`);
    const slots = (upstream.backends ?? [{}, {}]).map((backend) => {
      const slot = backends.length;
      backends.push(sampleBackend(slot, name, backend));
      return slot;
    });
    return { name, policy: upstream.policy ?? 'round-robin', decayMs: upstream.decayMs ?? 10_000, slots };
  });
  return {
    generation: 'test',
    listeners: (wishes.listeners ?? ['public']).map(sampleListener),
    upstreams,
    backends,
    routes: (wishes.routes ?? [{}]).map(sampleRoute),
    shards: { count: 1, stallTimeoutMs: 5_000 },
    admin: { address: '', token: '' },
    log: { level: 'info', isAccessLogged: true, accessSample: 1, areFailuresAlwaysLogged: true, ...wishes.log },
    drain: { timeoutMs: 30_000, delayMs: 0 },
    limits: { maxExchanges: 65_536 },
  };
}

function sampleListener(name: string): Snapshot['listeners'][number] {
  return {
    name,
    address: '127.0.0.1:0',
    certificates: [],
    congestion: 'cubic',
    idleTimeoutMs: 30_000,
    handshakeTimeoutMs: 10_000,
    maxConnections: 100_000,
    maxStreams: 128,
    streamWindowBytes: 65_536,
    connectionWindowBytes: 1_048_576,
    maxUdpPayloadBytes: 1_350,
    isGsoAllowed: true,
    isGroAllowed: true,
    isPaced: true,
    receiveBufferBytes: 4_194_304,
    sendBufferBytes: 4_194_304,
    maxHeadBytes: 16_384,
    maxFields: 100,
  };
}

function sampleBackend(slot: number, upstream: string, given: Partial<BackendSnapshot>): BackendSnapshot {
  return {
    slot,
    upstream,
    url: `h2c://127.0.0.1:${9_000 + slot}`,
    scheme: 'h2c',
    host: '127.0.0.1',
    port: 9_000 + slot,
    weight: 100,
    serverName: '',
    isVerified: true,
    caPem: '',
    maxSessions: 8,
    maxStreamsPerSession: 128,
    sessionIdleTimeoutMs: 60_000,
    sessionMaxAgeMs: 3_600_000,
    pingIntervalMs: 15_000,
    pingTimeoutMs: 5_000,
    streamWindowBytes: 65_536,
    sessionWindowBytes: 1_048_576,
    maxHeadBytes: 32_768,
    maxFields: 200,
    resolveIntervalMs: 0,
    ...given,
  };
}

function sampleRoute(given: Partial<RouteSnapshot>, number: number): RouteSnapshot {
  return {
    name: `route-${number}`,
    host: '*',
    path: '/',
    pathKind: 'prefix',
    upstream: 0,
    connectTimeoutMs: 3_000,
    headTimeoutMs: 30_000,
    idleTimeoutMs: 60_000,
    exchangeTimeoutMs: 0,
    maxBodyBytes: -1,
    retries: 1,
    isRequestIdKept: false,
    forwarded: 'x-forwarded',
    forwardedTrust: false,
    hostPolicy: 'keep',
    ...given,
  };
}
