/**
 * Numbers that outlive a snapshot. Lanes, reactors and the main thread name routes, upstreams,
 * backends, tenants, listeners and pools by number, in tables that they share and in what travels
 * with an exchange. So what is in two snapshots one after the other keeps its number, by name; what
 * is new gets one that nobody knows; and what was removed keeps its place until the last exchange
 * that began before has ended. Then whoever finishes an old exchange finds the same thing under its
 * number, whichever snapshot it looks in.
 */

import { MAX_CLIENT_FIELDS } from '../snapshot/listener.ts';
import type { RouteSnapshot } from '../snapshot/route.ts';
import type { PoolSnapshot, RoomSnapshot, Snapshot } from '../snapshot/snapshot.ts';
import { type Aim, aimKey, aimOf, aimsOf } from './aim.ts';
import { fieldsOf, type NumberedKind, roomFor } from './in-use.ts';
import { give, type IsFree, type Numbers, place, settle } from './numbers.ts';
import { removedListener, removedRoute, removedUpstream, same } from './removed.ts';

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
  return roomFor((kind) => Math.max(LEAST_ROOM[kind], snapshot[kind].length * ROOM_FACTOR));
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
