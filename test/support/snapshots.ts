/**
 * Frozen snapshots for tests of what obeys them: listeners, upstreams, backends and routes as a
 * test names them. Everything else is what the configuration defaults to, taken from the schema
 * itself.
 */

import { assembleSnapshot } from '../../src/config/assemble/assemble.ts';
import type { ListenerSnapshot } from '../../src/config/snapshot/listener.ts';
import type { RouteSnapshot, TargetSnapshot } from '../../src/config/snapshot/route.ts';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import type { TenantSnapshot } from '../../src/config/snapshot/tenant.ts';
import type { BackendSnapshot, UpstreamSnapshot } from '../../src/config/snapshot/upstream.ts';
import { validate } from '../../src/config/validate.ts';

/** Any part of a snapshot's part; lists are given whole. */
export type Wish<T> = T extends readonly unknown[] | Uint8Array | string | number | boolean | undefined
  ? T
  : { readonly [K in keyof T]?: Wish<T[K]> };

/** Targets without weight and subset send to the first upstream. */
export type RouteWish = Wish<Omit<RouteSnapshot, 'targets' | 'path' | 'fallback'>> &
  Partial<Pick<RouteSnapshot, 'path' | 'fallback'>> & { readonly targets?: readonly Partial<TargetSnapshot>[] };

export type UpstreamWish = Wish<Omit<UpstreamSnapshot, 'slots'>> & { readonly backends?: readonly Partial<BackendSnapshot>[] };

export interface SnapshotWishes {
  readonly upstreams?: readonly UpstreamWish[];
  readonly routes?: readonly RouteWish[];
  /** Names, or more. */
  readonly listeners?: readonly (string | Wish<ListenerSnapshot>)[];
  readonly tenants?: readonly Partial<TenantSnapshot>[];
  readonly store?: Snapshot['store'];
  readonly log?: Partial<Snapshot['log']>;
  readonly limits?: Partial<Snapshot['limits']>;
  readonly claims?: Partial<Snapshot['claims']>;
}

/**
 * Without wishes: upstream `web` with two h2c backends by round robin, and a route for everything.
 */
export function sampleSnapshot(wishes: SnapshotWishes = {}): Snapshot {
  const backends: BackendSnapshot[] = [];
  const upstreams = (wishes.upstreams ?? [{}]).map((wish, number) => {
    const name = wish.name ?? (number === 0 ? 'web' : `web-${number}`);
    const slots = (wish.backends ?? [{}, {}]).map((given) => {
      const slot = backends.length;
      return backends.push(sampleBackend({ slot, upstream: name, ...given })) - 1;
    });
    return { ...sampleUpstream(wish), name, slots };
  });
  const { log, limits, drain, reload, claims, certificates } = DEFAULTS;
  return {
    generation: 'test',
    certificates,
    listeners: (wishes.listeners ?? ['public']).map((wish) => sampleListener(typeof wish === 'string' ? { name: wish } : wish)),
    upstreams,
    backends,
    routes: (wishes.routes ?? [{}]).map((wish, number) => sampleRoute({ name: `route-${number}`, ...wish })),
    tenants: (wishes.tenants ?? []).map(sampleTenant),
    claims: { ...claims, ...wishes.claims },
    store: wishes.store,
    shards: { count: 1, stallTimeoutMs: 5_000 },
    admin: { address: '', token: '', maxConnections: 256, probesAddress: '' },
    log: { ...log, ...wishes.log },
    drain,
    reload,
    limits: { ...limits, ...wishes.limits },
  };
}

/** A route for everything to the first upstream, as the configuration defaults it. */
export function sampleRoute({ targets, ...wish }: RouteWish = {}): RouteSnapshot {
  const route = merge(DEFAULTS.routes[0]!, wish);
  return targets === undefined
    ? route
    : { ...route, targets: targets.map((target) => ({ upstream: 0, weight: 100, subset: {}, ...target })) };
}

/** An upstream by round robin; its slots are given by `sampleSnapshot`. */
function sampleUpstream({ backends: _, ...wish }: UpstreamWish = {}): UpstreamSnapshot {
  const upstream = DEFAULTS.upstreams[0]!;
  return merge({ ...upstream, balance: { ...upstream.balance, policy: 'round-robin' } }, wish);
}

/** An h2c backend on loopback; its port tells its slot unless one is given. */
function sampleBackend(given: Partial<BackendSnapshot> = {}): BackendSnapshot {
  const port = 9_000 + (given.slot ?? 0);
  return { ...DEFAULTS.backends[0]!, url: `h2c://127.0.0.1:${port}`, port, serverName: '', ...given };
}

export function sampleListener(wish: Wish<ListenerSnapshot> = {}): ListenerSnapshot {
  return merge(DEFAULTS.listeners[0]!, wish);
}

/** Networks of proxies that tell the client in `field`. */
export function trusting(networks: readonly string[], field = 'x-forwarded-for'): ListenerSnapshot['trustedNetworks'] {
  return networks.map((network) => ({ network, field }));
}

/** A tenant told by its host, without limits. */
export function sampleTenant(given: Partial<TenantSnapshot> = {}): TenantSnapshot {
  const name = given.name ?? 'tenant';
  const isToldOtherwise = given.header !== undefined || given.pathPrefix !== undefined || given.certificate !== undefined;
  const hosts = isToldOtherwise ? [] : [`${name}.test`];
  const nothing = { header: '', headerValue: '', pathPrefix: '', certificate: '', certificateValue: '' } as const;
  return { name, hosts, ...nothing, rateLimits: [], maxInFlight: 0, ...given };
}

const DEFAULTS = defaults();

function defaults(): Snapshot {
  const { config, complaints } = validate({
    version: 1,
    listeners: [{ name: 'public', address: '127.0.0.1:0', certificates: [{ names: ['localhost'], chain: 'a', key: 'b' }] }],
    upstreams: { web: { backends: [{ url: 'h2c://127.0.0.1:9000' }, { url: 'h2c://127.0.0.1:9001' }] } },
    routes: [{ upstream: 'web' }],
  });
  if (config === undefined) throw new Error(JSON.stringify(complaints));
  return assembleSnapshot(config, {
    listeners: [],
    authorities: new Map(),
    clientCertificates: new Map(),
    stickyKeys: new Map(),
    token: '',
    storeUrl: '',
    absolute: (file) => file,
    digests: {},
  });
}

/** `base` with the parts of `wish` laid over it, mapping by mapping. */
function merge<T>(base: T, wish: unknown): T {
  if (!isPlain(wish) || !isPlain(base)) return wish as T;
  const merged: Record<string, unknown> = { ...base };
  // A wish for one kind of a union replaces the other kind whole.
  if ('kind' in wish && 'kind' in base && wish['kind'] !== base['kind']) return wish as T;
  for (const [key, value] of Object.entries(wish)) merged[key] = key in merged ? merge(merged[key], value) : value;
  return merged as T;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;
}
