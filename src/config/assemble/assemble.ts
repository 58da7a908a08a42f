/**
 * From a configuration that was found good, and the files it points at, to the frozen snapshot.
 * Nothing here can fail or touches the disk.
 */

import { availableParallelism } from 'node:os';
import { generationOf } from '../generation.ts';
import { defaultMaxHeld } from '../memory.ts';
import { routeNames } from '../route-names.ts';
import type { Config } from '../schema/config.ts';
import { freezeDeep } from '../schema/once.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type { BackendSnapshot, ClientCertificateSnapshot } from '../snapshot/upstream.ts';
import { type ListenerFiles, listenerSnapshot } from './listener.ts';
import { routeSnapshot } from './route.ts';
import { tenantSnapshot } from './tenant.ts';
import { upstreamSnapshot } from './upstream.ts';

const NO_FILES: ListenerFiles = { certificates: [], ticketKeys: [], ticketKeysFile: '', clientAuth: [] };

/** What was read from disk for a configuration. */
export interface ReadFiles {
  /** By listener. */
  readonly listeners: readonly ListenerFiles[];
  /** PEM text by path as configured. */
  readonly authorities: ReadonlyMap<string, string>;
  /** What upstreams show to their backends, by upstream. */
  readonly clientCertificates: ReadonlyMap<string, ClientCertificateSnapshot>;
  /** 32 bytes that seal sticky cookies, by upstream. */
  readonly stickyKeys: ReadonlyMap<string, Uint8Array>;
  readonly token: string;
  readonly storeUrl: string;
  /** Where a file is. */
  readonly absolute: (file: string) => string;
  /** SHA-256 by absolute path. */
  readonly digests: Readonly<Record<string, string>>;
}

/** The frozen snapshot of a configuration without mistakes. */
export function assembleSnapshot(config: Config, read: ReadFiles): Snapshot {
  const backends: BackendSnapshot[] = [];
  const upstreams = Object.entries(config.upstreams).map(([name, upstream]) => {
    const files = {
      caPem: read.authorities.get(upstream.tls.ca) ?? '',
      clientCertificate: read.clientCertificates.get(name),
      absolute: read.absolute,
      stickyKey: read.stickyKeys.get(name) ?? new Uint8Array(32),
    };
    return upstreamSnapshot(name, upstream, files, backends);
  });
  const names = routeNames(config.routes);
  const places = {
    upstreams: new Map(upstreams.map(({ name }, place) => [name, place])),
    tenants: new Map(Object.keys(config.tenants).map((name, place) => [name, place])),
    wholes: new Map(),
  };
  const { store, claims } = config;
  return freezeDeep({
    generation: generationOf(config, read.digests),
    certificates: { isWatched: config.certificates.watch, pollMs: config.certificates.poll },
    listeners: config.listeners.map((listener, place) =>
      listenerSnapshot(listener, read.listeners[place] ?? NO_FILES, claims.client_field),
    ),
    upstreams,
    backends,
    routes: config.routes.map((route, place) => routeSnapshot(names[place] ?? '', route, places)),
    tenants: Object.entries(config.tenants).map(([name, tenant]) => tenantSnapshot(name, tenant)),
    claims: {
      fields: [...new Set([...claims.fields, ...claims.more_fields])],
      underscores: claims.underscores,
      underscoreNames: claims.underscore_names,
    },
    store: store === undefined ? undefined : { kind: 'redis', url: read.storeUrl, prefix: store.prefix, timeoutMs: store.timeout },
    shards: {
      count: config.shards.count === 'auto' ? Math.min(availableParallelism(), 256) : config.shards.count,
      stallTimeoutMs: config.shards.stall_timeout,
    },
    admin: {
      address: config.admin.address,
      token: read.token,
      maxConnections: config.admin.max_connections,
      probesAddress: config.admin.probes.address,
    },
    log: {
      level: config.log.level,
      isAccessLogged: config.log.access.enabled,
      accessSample: config.log.access.sample,
      areCertificatesLogged: config.log.access.enabled && config.log.access.client_certificates,
      areFailuresAlwaysLogged: config.log.access.failures,
    },
    drain: { timeoutMs: config.drain.timeout, delayMs: config.drain.delay },
    reload: { isWatched: config.reload.watch },
    limits: {
      maxExchanges: config.limits.max_exchanges,
      maxHeldBytes: config.limits.max_held === 'auto' ? defaultMaxHeld() : config.limits.max_held,
      statelessReplies: config.limits.stateless_replies,
    },
  });
}
