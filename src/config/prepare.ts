/**
 * From a configuration to a snapshot: files read and checked, paths made absolute, backends numbered, everything frozen. All that can fail fails
 * here, before a socket or a shard is touched, and every failure is listed.
 */

import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { checkAgreement, type IsMended, routeName } from './agreement.ts';
import { parseChain, readCertificate } from './certificates.ts';
import { Files } from './files.ts';
import { generationOf } from './generation.ts';
import { type Complaint, hasErrors, type Locate, type Problem, placeComplaints, sortProblems } from './problem.ts';
import type { Config } from './schema/config.ts';
import type { Listener } from './schema/listener.ts';
import type { Route } from './schema/route.ts';
import { parseBackendUrl, TOKEN_RULE } from './schema/rules.ts';
import type { Upstream } from './schema/upstream.ts';
import type { BackendSnapshot, CertificateSnapshot, ListenerSnapshot, RouteSnapshot, Snapshot, UpstreamSnapshot } from './snapshot.ts';

/** A snapshot where there is no error; warnings may stand beside it. */
export interface Prepared {
  readonly snapshot?: Snapshot;
  readonly problems: readonly Problem[];
}

/**
 * Prepares a snapshot. `baseDir` is the folder relative paths start from; `locate` gives problems their lines and may be left out where there
 * is no file; about what `isMended` nothing is said. Never rejects for a mistake in the configuration.
 */
export async function prepareSnapshot(
  config: Config,
  baseDir: string,
  locate: Locate = nowhere,
  isMended: IsMended = () => false,
): Promise<Prepared> {
  const files = new Files(baseDir);
  const complaints = checkAgreement(config, isMended);
  const certificates = await readCertificates(config.listeners, files, complaints);
  const authorities = await readAuthorities(config.upstreams, files, complaints);
  const token = await readToken(config.admin, files, complaints);
  const problems = sortProblems(
    placeComplaints(
      complaints.filter(({ path }) => !isMended(path)),
      locate,
    ),
  );
  if (hasErrors(problems)) return { problems };

  const backends: BackendSnapshot[] = [];
  const upstreams = Object.entries(config.upstreams).map(([name, upstream]) =>
    upstreamSnapshot(name, upstream, authorities.get(upstream.tls.ca) ?? '', backends),
  );
  const snapshot: Snapshot = {
    generation: generationOf(config, files.digests()),
    listeners: config.listeners.map((listener, place) => listenerSnapshot(listener, certificates[place] ?? [])),
    upstreams,
    backends,
    routes: config.routes.map((route) => routeSnapshot(route, upstreams)),
    shards: {
      count: config.shards.count === 'auto' ? Math.min(availableParallelism(), 256) : config.shards.count,
      stallTimeoutMs: config.shards.stall_timeout,
    },
    admin: { address: config.admin.address, token },
    log: {
      level: config.log.level,
      isAccessLogged: config.log.access.enabled,
      accessSample: config.log.access.sample,
      areFailuresAlwaysLogged: config.log.access.failures,
    },
    drain: { timeoutMs: config.drain.timeout, delayMs: config.drain.delay },
    limits: { maxExchanges: config.limits.max_exchanges },
  };
  return { snapshot: freezeDeep(snapshot), problems };
}

async function readCertificates(listeners: readonly Listener[], files: Files, complaints: Complaint[]): Promise<CertificateSnapshot[][]> {
  const nowMs = Date.now();
  const perListener: CertificateSnapshot[][] = [];
  for (const [place, listener] of listeners.entries()) {
    const usable: CertificateSnapshot[] = [];
    for (const [index, configured] of listener.certificates.entries()) {
      const path = ['listeners', place, 'certificates', index];
      const checked = await readCertificate(configured, path, files, nowMs);
      complaints.push(...checked.complaints);
      if (checked.certificate !== undefined) usable.push(checked.certificate);
    }
    perListener.push(usable);
  }
  return perListener;
}

/** PEM text of every upstream's own authorities, by path as configured. */
async function readAuthorities(upstreams: Config['upstreams'], files: Files, complaints: Complaint[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const [name, { tls }] of Object.entries(upstreams)) {
    if (tls.ca === '') continue;
    const path = ['upstreams', name, 'tls', 'ca'];
    const file = await files.read(tls.ca);
    const parsed = 'text' in file ? parseChain(file.text) : file.fault;
    if (typeof parsed === 'string') complaints.push({ path, message: parsed, expected: 'PEM certificates of authorities' });
    if ('text' in file) texts.set(tls.ca, file.text);
  }
  return texts;
}

async function readToken({ token, token_file: path }: Config['admin'], files: Files, complaints: Complaint[]): Promise<string> {
  if (path === '') return token;
  const file = await files.read(path);
  const given = 'text' in file ? TOKEN_RULE.normalise(file.text.trim()) : undefined;
  if (given !== undefined) return given;
  const message = 'fault' in file ? file.fault : 'holds no usable token';
  complaints.push({ path: ['admin', 'token_file'], message, expected: TOKEN_RULE.expected });
  return '';
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
  return { name, policy: balance.policy, decayMs: balance.decay, slots };
}

function routeSnapshot(route: Route, upstreams: readonly UpstreamSnapshot[]): RouteSnapshot {
  const { match, timeouts } = route;
  return {
    name: routeName(route),
    host: match.host,
    path: match.path,
    pathKind: match.exact ? 'exact' : 'prefix',
    upstream: upstreams.findIndex(({ name }) => name === route.upstream),
    connectTimeoutMs: timeouts.connect,
    headTimeoutMs: timeouts.head,
    idleTimeoutMs: timeouts.idle,
    exchangeTimeoutMs: timeouts.exchange,
    maxBodyBytes: route.max_body,
    retries: route.retries,
    isRequestIdKept: route.request_id.trust,
    forwarded: route.forwarded.style,
    forwardedTrust: route.forwarded.trust,
    hostPolicy: route.host,
  };
}

function freezeDeep<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) freezeDeep(item);
  }
  return value;
}

function nowhere(): { source: string } {
  return { source: 'configuration' };
}
