/**
 * Numbers that outlive a snapshot. Lanes, reactors and the main thread name routes, upstreams,
 * backends, tenants, listeners and pools by number, in tables that they share and in what travels
 * with an exchange. So what is in two snapshots one after the other keeps its number, by name; what
 * is new gets one that nobody knows; and what was removed keeps its place until the last exchange
 * that began before has ended. Then whoever finishes an old exchange finds the same thing under its
 * number, whichever snapshot it looks in.
 */

import { type ListenerSnapshot, MAX_CLIENT_FIELDS } from '../snapshot/listener.ts';
import type { RouteSnapshot } from '../snapshot/route.ts';
import type { NumberingSnapshot, PoolSnapshot, RoomSnapshot, Snapshot } from '../snapshot/snapshot.ts';
import type { TenantSnapshot } from '../snapshot/tenant.ts';
import type { BackendSnapshot, UpstreamSnapshot } from '../snapshot/upstream.ts';

/** What is numbered. */
export type NumberedKind = keyof RoomSnapshot;

const KINDS = ['upstreams', 'backends', 'routes', 'tenants', 'listeners'] as const satisfies readonly NumberedKind[];

/**
 * Room that there is at least, whatever the first snapshot has, and how many times what it has.
 * What is not used costs no memory.
 */
const LEAST_ROOM: RoomSnapshot = { upstreams: 512, backends: 2_048, routes: 4_096, tenants: 1_024, listeners: 64 };
const ROOM_FACTOR = 4;

/** As many pools as a memo can name (`src/lane/memo.ts`). */
const MAX_POOLS = 0xffff;

/** A number is not given again sooner: records of exchanges that have ended may be on their way. */
const SHORTEST_REST_MS = 5_000;

/** For how many of each the tables of `snapshot` have room. */
export function roomOf(snapshot: Lists): RoomSnapshot {
  if (snapshot.numbering !== undefined) return snapshot.numbering.room;
  const room = (kind: NumberedKind): number => snapshot[kind].length;
  return {
    upstreams: room('upstreams'),
    backends: room('backends'),
    routes: room('routes'),
    tenants: room('tenants'),
    listeners: room('listeners'),
  };
}

type Lists = { readonly [K in NumberedKind]: { readonly length: number } } & { readonly numbering?: NumberingSnapshot };

/** Numbers of a kind that are in use, in configured order. */
export function inUse<K extends NumberedKind>(
  snapshot: { readonly [L in K]: { readonly length: number } } & { readonly numbering?: NumberingSnapshot },
  kind: K,
): readonly number[] {
  return snapshot.numbering?.[kind] ?? Array.from({ length: snapshot[kind].length }, (_, number) => number);
}

/** Upstreams that are in use, in configured order, with their numbers. */
export function upstreamsOf(snapshot: Pick<Snapshot, 'upstreams' | 'numbering'>): [number, UpstreamSnapshot][] {
  return inUse(snapshot, 'upstreams').map((number) => [number, snapshot.upstreams[number]!]);
}

/** Backends that are in use, in configured order. */
export function backendsOf(snapshot: Pick<Snapshot, 'backends' | 'numbering'>): BackendSnapshot[] {
  return inUse(snapshot, 'backends').map((slot) => snapshot.backends[slot]!);
}

/** Routes that are in use, in configured order, with their numbers. */
export function routesOf(snapshot: Pick<Snapshot, 'routes' | 'numbering'>): [number, RouteSnapshot][] {
  return inUse(snapshot, 'routes').map((number) => [number, snapshot.routes[number]!]);
}

/** Tenants that are in use, in configured order, with their numbers. */
export function tenantsOf(snapshot: Pick<Snapshot, 'tenants' | 'numbering'>): [number, TenantSnapshot][] {
  return inUse(snapshot, 'tenants').map((number) => [number, snapshot.tenants[number]!]);
}

/** Listeners that are in use, in configured order, with their numbers. */
export function listenersOf(snapshot: Pick<Snapshot, 'listeners' | 'numbering'>): [number, ListenerSnapshot][] {
  return inUse(snapshot, 'listeners').map((number) => [number, snapshot.listeners[number]!]);
}

/**
 * The fields in which the proxies of some listener tell the client, by number. The same field has
 * the same number in snapshots that follow on each other, because numbers travel with exchanges;
 * one that nobody knows any more is empty.
 */
export function clientFieldsOf(snapshot: Pick<Snapshot, 'numbering'> & TrustingLists): readonly string[] {
  return snapshot.numbering?.clientFields ?? fieldsOf(snapshot.listeners);
}

type TrustingLists = { readonly listeners: readonly Pick<ListenerSnapshot, 'trustedNetworks'>[] };

function fieldsOf(listeners: TrustingLists['listeners']): string[] {
  return [...new Set(listeners.flatMap(({ trustedNetworks }) => trustedNetworks.map(({ field }) => field)))];
}

/** The same text for targets that mean the same. */
export function aimKey({ upstream, subset }: Aim): string {
  return JSON.stringify([upstream, Object.entries(subset).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function aimOf(key: string): Aim {
  const [upstream, subset] = JSON.parse(key) as [number, [string, string][]];
  return { upstream, subset: Object.fromEntries(subset) };
}

type Aim = { readonly upstream: number; readonly subset: Readonly<Record<string, string>> };

/** What there is no room for, and how much there is. */
export interface NoRoom {
  readonly kind: NumberedKind | 'pools' | 'clientFields';
  readonly room: number;
  /** Of those, held by what was removed and exchanges may still know. */
  readonly held: number;
}

/** A snapshot with numbers of its own. */
export interface Numbered {
  readonly snapshot: Snapshot;
  /**
   * Numbers that mean something else than in the snapshot before, or nothing there: what tables say
   * under them is to be forgotten.
   */
  readonly fresh: Readonly<Record<NumberedKind, readonly number[]>>;
  /** To be called when the snapshot is in force; `nowMs` is on the clock of `oldestMs`. */
  take(nowMs: number): void;
}

/** Whether a number that was removed then may be given to something else. */
type IsFree = (removedMs: number | undefined, number: number) => boolean;

/** One kind: who has which number. */
interface Numbers {
  /** By number; stays when what has the name is removed. */
  readonly keys: string[];
  /** When it was removed; undefined while it is in use. */
  readonly removedMs: (number | undefined)[];
}

/** Gives numbers, one snapshot after the other. */
export class Numberer {
  private readonly numbers: Readonly<Record<NumberedKind | 'pools' | 'clientFields', Numbers>> = {
    upstreams: { keys: [], removedMs: [] },
    backends: { keys: [], removedMs: [] },
    routes: { keys: [], removedMs: [] },
    tenants: { keys: [], removedMs: [] },
    listeners: { keys: [], removedMs: [] },
    pools: { keys: [], removedMs: [] },
    clientFields: { keys: [], removedMs: [] },
  };
  private room: RoomSnapshot | undefined;
  private last: Snapshot | undefined;

  /**
   * Numbers a snapshot that has none. `oldestMs` is when the oldest exchange that is open began,
   * Infinity where there is none and 0 where nobody knows: what was removed before that has no one
   * left who knows its number. A listener's number is not given away while connections to it are
   * open.
   */
  number(next: Snapshot, oldestMs: number, nowMs: number, hasConnections: (listener: number) => boolean = () => false): Numbered | NoRoom {
    const room = this.room ?? firstRoom(next);
    const upstreamKeys = next.upstreams.map(({ name }) => name);
    const keys = {
      upstreams: upstreamKeys,
      backends: unique(next.backends.map(({ upstream, url }) => `${upstream} ${url}`)),
      routes: unique(next.routes.map(({ name }) => name)),
      tenants: next.tenants.map(({ name }) => name),
      listeners: next.listeners.map(({ name }) => name),
    };
    const isForgotten = (removedMs: number | undefined): boolean =>
      removedMs !== undefined && removedMs < oldestMs && removedMs < nowMs - SHORTEST_REST_MS;
    const isFree: Record<NumberedKind, IsFree> = {
      upstreams: isForgotten,
      backends: isForgotten,
      routes: isForgotten,
      tenants: isForgotten,
      listeners: (removedMs, listener) => isForgotten(removedMs) && !hasConnections(listener),
    };
    const given = {} as Record<NumberedKind, number[]>;
    const fresh = {} as Record<NumberedKind, number[]>;
    for (const kind of KINDS) {
      const found = give(this.numbers[kind], keys[kind], room[kind], isFree[kind]);
      if (found === undefined) return this.noRoom(kind, room[kind]);
      given[kind] = found.numbers;
      fresh[kind] = found.fresh;
    }
    const lists = this.lists(next, given, isFree.listeners);
    const fields = fieldsOf(lists.listeners);
    const clientFields = give(this.numbers.clientFields, fields, MAX_CLIENT_FIELDS, isForgotten);
    if (clientFields === undefined) return this.noRoom('clientFields', MAX_CLIENT_FIELDS);
    const aims = new Map<string, Aim>();
    const met = new Set<Aim>();
    for (const number of given.routes) {
      for (const aim of aimsOf(lists.routes[number]!)) {
        if (met.has(aim)) continue;
        met.add(aim);
        const { upstream, subset } = aim;
        aims.set(aimKey(aim), { upstream, subset });
      }
    }
    const pools = give(this.numbers.pools, [...aims.keys()], MAX_POOLS, isForgotten);
    if (pools === undefined) return { kind: 'pools', room: MAX_POOLS, held: 0 };
    const byNumber = this.numbers.pools.keys.map((key): PoolSnapshot => ({ ...aimOf(key), isUsed: false }));
    for (const [place, aim] of [...aims.values()].entries()) byNumber[pools.numbers[place]!] = { ...aim, isUsed: true };

    const { keys: knownFields, removedMs: fieldsRemovedMs } = this.numbers.clientFields;
    const fieldsByNumber = knownFields.map((field, number) => (isForgotten(fieldsRemovedMs[number]) ? '' : field));
    for (const [place, field] of fields.entries()) fieldsByNumber[clientFields.numbers[place]!] = field;

    const numbering = { room, ...given, pools: byNumber, clientFields: fieldsByNumber };
    const snapshot: Snapshot = Object.freeze({ ...next, ...lists, numbering });
    return {
      snapshot,
      fresh,
      take: (takenMs) => {
        this.room = room;
        this.last = snapshot;
        for (const kind of KINDS) settle(this.numbers[kind], keys[kind], given[kind], takenMs);
        settle(this.numbers.pools, [...aims.keys()], pools.numbers, takenMs);
        settle(this.numbers.clientFields, fields, clientFields.numbers, takenMs);
      },
    };
  }

  private noRoom(kind: NoRoom['kind'], room: number): NoRoom {
    return { kind, room, held: this.numbers[kind].removedMs.filter((removedMs) => removedMs !== undefined).length };
  }

  /** The lists of `next` by the numbers given, with what was removed in the places nobody has. */
  private lists(next: Snapshot, given: Record<NumberedKind, readonly number[]>, isListenerFree: IsFree): Pick<Snapshot, NumberedKind> {
    const { last } = this;
    const isForgotten = (listener: number): boolean => isListenerFree(this.numbers.listeners.removedMs[listener], listener);
    // Most often numbers are places, and what does not change stays the same object; what many
    // routes have in common stays that.
    const numberOf = (upstream: number): number => given.upstreams[upstream] ?? -1;
    const target = <T extends Aim>(one: T): T =>
      numberOf(one.upstream) === one.upstream ? one : { ...one, upstream: numberOf(one.upstream) };
    const moved = new Map<RouteSnapshot['targets'], RouteSnapshot['targets']>();
    const targetsOf = (targets: RouteSnapshot['targets']): RouteSnapshot['targets'] => {
      if (targets.every((one) => target(one) === one)) return targets;
      const known = moved.get(targets) ?? targets.map(target);
      moved.set(targets, known);
      return known;
    };
    const route = (one: RouteSnapshot): RouteSnapshot => {
      const tenant = given.tenants[one.match.tenant] ?? -1;
      const targets = targetsOf(one.targets);
      const { fallback } = one;
      const aim = fallback.kind === 'upstream' ? target(fallback.target) : undefined;
      const isSame = tenant === one.match.tenant && targets === one.targets && (fallback.kind !== 'upstream' || aim === fallback.target);
      if (isSame) return one;
      const match = tenant === one.match.tenant ? one.match : { ...one.match, tenant };
      return {
        ...one,
        match,
        targets,
        fallback: fallback.kind === 'upstream' ? { ...fallback, target: aim ?? fallback.target } : fallback,
      };
    };
    return {
      upstreams: place(next.upstreams, given.upstreams, last?.upstreams, removedUpstream, (upstream) => ({
        ...upstream,
        slots: upstream.slots.map((slot) => given.backends[slot]!),
      })),
      backends: place(next.backends, given.backends, last?.backends, same, (backend) => ({
        ...backend,
        slot: given.backends[backend.slot]!,
      })),
      routes: place(next.routes, given.routes, last?.routes, removedRoute, route),
      tenants: place(next.tenants, given.tenants, last?.tenants, (tenant) => ({ ...tenant, rateLimits: [] }), same),
      listeners: place(
        next.listeners,
        given.listeners,
        last?.listeners,
        (listener, number) => removedListener(listener, isForgotten(number)),
        same,
      ),
    };
  }
}

function firstRoom(snapshot: Snapshot): RoomSnapshot {
  const room = (kind: NumberedKind): number => Math.max(LEAST_ROOM[kind], snapshot[kind].length * ROOM_FACTOR);
  return {
    upstreams: room('upstreams'),
    backends: room('backends'),
    routes: room('routes'),
    tenants: room('tenants'),
    listeners: room('listeners'),
  };
}

/** Names that may be there twice are told apart by which of them it is. */
function unique(names: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const count = seen.get(name) ?? 0;
    seen.set(name, count + 1);
    return count === 0 ? name : `${name} #${count + 1}`;
  });
}

/**
 * A number for each key: the one it has, or had and nobody got since, else the lowest that is free.
 * Undefined where there are too few.
 */
function give(
  { keys: known, removedMs }: Numbers,
  keys: readonly string[],
  room: number,
  isFree: IsFree,
): { numbers: number[]; fresh: number[] } | undefined {
  const having = new Map(known.map((key, number) => [key, number]));
  const kept = new Set(keys.flatMap((key) => having.get(key) ?? []));
  const fresh: number[] = [];
  let lowest = 0;
  const numbers: number[] = [];
  for (const key of keys) {
    const had = having.get(key);
    if (had !== undefined) {
      numbers.push(had);
      continue;
    }
    while (lowest < known.length && (kept.has(lowest) || !isFree(removedMs[lowest], lowest))) lowest += 1;
    if (lowest >= room) return undefined;
    fresh.push(lowest);
    numbers.push(lowest++);
  }
  return { numbers, fresh };
}

function settle({ keys: known, removedMs }: Numbers, keys: readonly string[], numbers: readonly number[], nowMs: number): void {
  const used = new Set(numbers);
  for (const [place, number] of numbers.entries()) {
    known[number] = keys[place]!;
    removedMs[number] = undefined;
  }
  for (let number = 0; number < known.length; number++) if (!used.has(number)) removedMs[number] ??= nowMs;
}

function place<T>(
  items: readonly T[],
  numbers: readonly number[],
  last: readonly T[] | undefined,
  removed: (item: T, number: number) => T,
  moved: (item: T) => T,
): T[] {
  const list = Array.from({ length: lengthFor(numbers, last?.length ?? 0) }, (_, number) => last?.[number]);
  const used = new Set(numbers);
  for (const [number, item] of list.entries()) if (item !== undefined && !used.has(number)) list[number] = removed(item, number);
  for (const [at, item] of items.entries()) list[numbers[at]!] = moved(item);
  // Numbers are given from the lowest, so none is left out.
  return list as T[];
}

function lengthFor(numbers: readonly number[], least: number): number {
  return numbers.reduce((length, number) => Math.max(length, number + 1), least);
}

function same<T>(item: T): T {
  return item;
}

/**
 * Its connections end; while one may be left, it is known who its proxies are and what of
 * certificates only the edge may tell.
 */
function removedListener(listener: ListenerSnapshot, isForgotten: boolean): ListenerSnapshot {
  const removed = { ...listener, certificates: [], ticketKeys: [] };
  return isForgotten ? { ...removed, clientAuth: [], trustedNetworks: [] } : removed;
}

/** Its backends get nothing more; what it limited it goes on counting. */
function removedUpstream(upstream: UpstreamSnapshot): UpstreamSnapshot {
  return upstream.slots.length === 0 ? upstream : { ...upstream, slots: [], health: undefined };
}

/**
 * Requests that were decided by it may end under it, and none is sent anywhere: what it meant may
 * be gone.
 */
function removedRoute(route: RouteSnapshot): RouteSnapshot {
  if (route.targets.length === 0 && route.fixed === REMOVED) return route;
  return {
    ...route,
    targets: [],
    redirect: undefined,
    fixed: REMOVED,
    fallback: { kind: 'none' },
    retries: { ...route.retries, attempts: 0, on: NO_FAILURE, methods: [] },
    hedge: undefined,
    rateLimits: [],
    path: { kind: 'keep' },
    requestEdits: [],
    responseEdits: [],
    splitKeys: [],
  };
}

/**
 * What a request is told that waited for so long that its route and the snapshot it began with are
 * both gone.
 */
const REMOVED: NonNullable<RouteSnapshot['fixed']> = Object.freeze({ status: 503, fields: Object.freeze([]), body: '' });

const NO_FAILURE: RouteSnapshot['retries']['on'] = Object.freeze({
  isConnect: false,
  isRefused: false,
  isReset: false,
  isTimeout: false,
  statuses: Object.freeze([]),
  grpcStatuses: Object.freeze([]),
});

function aimsOf({ targets, fallback }: RouteSnapshot): readonly Aim[] {
  return fallback.kind === 'upstream' ? [...targets, fallback.target] : targets;
}
