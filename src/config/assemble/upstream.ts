/** Upstreams and backends of a snapshot. */

import { isIP } from 'node:net';
import { grpcStatusesOf, statusesOf } from '../schema/fields.ts';
import { keyOf } from '../schema/key.ts';
import { parseBackendUrl } from '../schema/rules.ts';
import type { Backend, Upstream } from '../schema/upstream.ts';
import type { BalanceSnapshot } from '../snapshot/balance.ts';
import type { ConcurrencySnapshot } from '../snapshot/limit.ts';
import type { BreakerSnapshot, HealthSnapshot } from '../snapshot/standing.ts';
import type { BackendSnapshot, ClientCertificateSnapshot, TrustFilesSnapshot, UpstreamSnapshot } from '../snapshot/upstream.ts';
import { bulkheadSnapshot } from './limit.ts';

/** What was read from disk for an upstream. */
export interface UpstreamFiles {
  /** Authorities to trust; empty for the system's. */
  readonly caPem: string;
  readonly clientCertificate: ClientCertificateSnapshot | undefined;
  readonly absolute: (file: string) => string;
  /** 32 bytes. */
  readonly stickyKey: Uint8Array;
}

/** An upstream; each of its backends takes the next slot of `all`. */
export function upstreamSnapshot(name: string, upstream: Upstream, files: UpstreamFiles, all: BackendSnapshot[]): UpstreamSnapshot {
  const { outliers, retry_budget: retryBudget, hedge_budget: hedgeBudget, limits, locality } = upstream;
  const slots = upstream.backends.map((backend) => all.push(backendSnapshot(all.length, name, backend, upstream, files)) - 1);
  return {
    name,
    balance: balanceSnapshot(upstream.balance, files.stickyKey),
    slots,
    breaker: breakerSnapshot(upstream.breaker, upstream.backends.length),
    outlier: {
      isOn: outliers.enabled,
      intervalMs: outliers.interval,
      minBackends: outliers.min_backends,
      minRequests: outliers.min_requests,
      deviations: outliers.deviations,
    },
    maxEjected: upstream.max_ejected,
    panicBelow: upstream.panic_below,
    slowStartMs: upstream.slow_start,
    health: upstream.health === undefined ? undefined : healthSnapshot(upstream.health, upstream.backends),
    bulkhead: bulkheadSnapshot(limits),
    concurrency: limits.adaptive === undefined ? undefined : concurrencySnapshot(limits.adaptive),
    overload: {
      isGuarded: limits.overload.enabled,
      targetMs: limits.overload.target,
      queue: limits.overload.queue,
      maxWaitMs: limits.overload.max_wait,
      standingWaitMs: limits.overload.standing_wait,
    },
    retryBudget: { ratio: retryBudget.ratio, minPerSecond: retryBudget.min_per_second, windowMs: retryBudget.window },
    hedgeBudget: { ratio: hedgeBudget.ratio, minPerSecond: hedgeBudget.min_per_second, windowMs: hedgeBudget.window },
    locality: { zone: locality.zone, healthyShare: locality.healthy_share },
    trustFiles: trustFilesOf(upstream, files),
  };
}

/** Undefined where there is none to be watched. */
function trustFilesOf({ tls, backends }: Upstream, { absolute }: UpstreamFiles): TrustFilesSnapshot | undefined {
  const { ca, certificate, key, key_passphrase_file: passphrase } = tls;
  if (backends.length === 0 || (ca === '' && certificate === '')) return undefined;
  const at = (file: string): string => (file === '' ? '' : absolute(file));
  return { ca: at(ca), certificate: at(certificate), key: at(key), key_passphrase_file: at(passphrase) };
}

function backendSnapshot(slot: number, upstream: string, backend: Backend, group: Upstream, files: UpstreamFiles): BackendSnapshot {
  const { pool, tls, resolve } = group;
  const parts = parseBackendUrl(backend.url);
  if (parts === undefined) throw new TypeError(`the schema let ${backend.url} pass`);
  return {
    slot,
    upstream,
    url: backend.url,
    ...parts,
    weight: backend.weight,
    labels: backend.labels,
    zone: backend.zone,
    tier: tierOf(backend, group.locality.zone),
    serverName: backend.server_name === '' ? parts.host : backend.server_name,
    isVerified: tls.verify,
    caPem: files.caPem,
    clientCertificate: files.clientCertificate,
    minTlsVersion: tls.min_version,
    maxTlsVersion: tls.max_version,
    pins: tls.pins,
    maxSessions: parts.scheme === 'http' ? pool.max_connections : pool.max_sessions,
    maxStreamsPerSession: pool.max_streams,
    maxBound: pool.max_bound,
    boundIdleMs: pool.bound_idle,
    sessionIdleTimeoutMs: pool.idle_timeout,
    sessionMaxAgeMs: pool.max_age,
    pingIntervalMs: pool.ping_interval,
    pingTimeoutMs: pool.ping_timeout,
    streamWindowBytes: pool.stream_window,
    sessionWindowBytes: pool.session_window,
    maxHeadBytes: pool.max_head,
    maxFields: pool.max_fields,
    resolveIntervalMs: isIP(parts.host) === 0 ? resolve.interval : 0,
  };
}

function tierOf({ tier, zone }: Backend, ownZone: string): number {
  if (tier !== 'auto') return tier;
  return ownZone === '' || zone === ownZone ? 0 : 1;
}

function balanceSnapshot(balance: Upstream['balance'], stickyKey: Uint8Array): BalanceSnapshot {
  const { sticky } = balance;
  return {
    policy: balance.policy,
    decayMs: balance.decay,
    keys: balance.keys.map(keyOf),
    ringPoints: balance.ring_points,
    maglevSize: balance.table_size,
    loadBound: balance.load_bound,
    sticky:
      sticky === undefined
        ? undefined
        : { kind: sticky.by, cookie: sticky.cookie, path: sticky.path, maxAgeS: Math.ceil(sticky.max_age / 1000), key: stickyKey },
  };
}

/** Failures in a row that eject a backend, where there is another. */
const USUAL_CONSECUTIVE = 5;

function breakerSnapshot(breaker: Upstream['breaker'], backends: number): BreakerSnapshot {
  const usual = backends > 1 ? USUAL_CONSECUTIVE : 0;
  return {
    failures: {
      isConnectCounted: breaker.failures.includes('connect'),
      isResetCounted: breaker.failures.includes('reset'),
      isTimeoutCounted: breaker.failures.includes('timeout'),
      statuses: statusesOf(breaker.statuses),
      grpcStatuses: grpcStatusesOf(breaker.grpc_statuses),
    },
    consecutive: breaker.consecutive === 'auto' ? usual : breaker.consecutive,
    rate: breaker.rate,
    minRequests: breaker.min_requests,
    count: breaker.count,
    windowMs: breaker.window,
    ejectMs: breaker.eject,
    maxEjectMs: breaker.max_eject,
    probes: breaker.probes,
    successes: breaker.successes,
  };
}

function healthSnapshot(health: NonNullable<Upstream['health']>, backends: readonly Backend[]): HealthSnapshot {
  const isPlain = backends.every(({ url }) => url.startsWith('http:'));
  return {
    protocol: health.protocol === 'auto' ? (isPlain ? 'http/1.1' : 'h2') : health.protocol,
    method: health.method,
    path: health.path,
    host: health.host,
    port: health.port,
    intervalMs: health.interval,
    failingIntervalMs: health.failing_interval,
    jitter: health.jitter,
    timeoutMs: health.timeout,
    healthyAfter: health.healthy_after,
    unhealthyAfter: health.unhealthy_after,
    statuses: statusesOf(health.statuses),
    body: health.body,
  };
}

function concurrencySnapshot(adaptive: NonNullable<Upstream['limits']['adaptive']>): ConcurrencySnapshot {
  const { algorithm, initial, min, max, target: targetMs, tolerance, brownout } = adaptive;
  return { algorithm, initial, min, max, targetMs, tolerance, brownout: [brownout.low, brownout.normal, brownout.high] };
}
