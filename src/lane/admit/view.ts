/** Places and adaptive limits as the main thread sees them: for metrics and the admin API. */

import { routesOf, tenantsOf, upstreamsOf } from '../../config/numbering/in-use.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import { BASE_US, LATEST_US, LIMIT, LIMIT_UNIT } from './concurrency/cells.ts';
import { isGuarded } from './overload/guard.ts';
import {
  GUARD_LIMIT,
  HELD_US,
  IN_FLIGHT,
  OWN_WORDS,
  placeLayout,
  placeOfRoute,
  placeOfTenant,
  placeOfUpstream,
  REFUSED,
  SHED,
  SHEDDING,
  WAITING,
} from './places.ts';

export interface PlaceView {
  readonly kind: 'route' | 'upstream' | 'tenant';
  readonly name: string;
  readonly inFlight: number;
  readonly waiting: number;
  /** As configured; 0 for no limit, no queue. */
  readonly max: number;
  readonly queue: number;
  /** Mean time that an exchange keeps its place, µs. */
  readonly heldUs: number;
  /**
   * Exchanges turned away because there was no place, and because of the adaptive limit; modulo
   * 2^32.
   */
  readonly refused: number;
  readonly shed: number;
  /** It shed within the last seconds. */
  readonly isShedding: boolean;
  /** Undefined where the limit does not follow the latency. */
  readonly adaptive: AdaptiveView | undefined;
}

export interface AdaptiveView {
  readonly limit: number;
  /** Latency of the response head without a queue and lately, µs; 0 when not known. */
  readonly baseUs: number;
  readonly latestUs: number;
}

/**
 * Every place of `snapshot` that has a limit; `table` was made for it. Places without one are not
 * counted.
 */
export function viewPlaces(snapshot: Snapshot, table: SharedArrayBuffer): PlaceView[] {
  const layout = placeLayout(snapshot);
  const words = new Int32Array(table);
  const view = (kind: PlaceView['kind'], name: string, place: number, max: number, queue: number, adaptiveAt = -1): PlaceView => {
    const at = layout.place(place);
    const word = (number: number): number => Atomics.load(words, at + number);
    return {
      kind,
      name,
      inFlight: word(IN_FLIGHT),
      waiting: word(WAITING),
      max,
      queue,
      heldUs: word(HELD_US),
      refused: word(REFUSED) >>> 0,
      shed: word(SHED) >>> 0,
      isShedding: word(SHEDDING) !== 0,
      adaptive: adaptiveAt === -1 ? undefined : viewAdaptive(words, adaptiveAt),
    };
  };
  return [
    ...routesOf(snapshot).flatMap(
      ([
        i,
        {
          name,
          bulkhead: { max, queue },
        },
      ]) => (max === 0 ? [] : [view('route', name, placeOfRoute(i), max, queue)]),
    ),
    ...upstreamsOf(snapshot).flatMap(
      ([
        i,
        {
          name,
          bulkhead: { max, queue },
          concurrency,
        },
      ]) => {
        if (max === 0 && concurrency === undefined) return [];
        return [view('upstream', name, placeOfUpstream(snapshot, i), max, queue, concurrency && layout.concurrency(i))];
      },
    ),
    ...tenantsOf(snapshot).flatMap(([i, { name, maxInFlight }]) =>
      maxInFlight === 0 ? [] : [view('tenant', name, placeOfTenant(snapshot, i), maxInFlight, 0)],
    ),
  ];
}

/** The guard of an upstream, as all shards together have it. */
export interface GuardView {
  readonly upstream: string;
  /** Exchanges that may be in flight, of all shards that have a limit now; 0 where none has. */
  readonly limit: number;
  readonly waiting: number;
  /** Exchanges turned away, modulo 2^32. */
  readonly shed: number;
  /** It shed within the last seconds. */
  readonly isShedding: boolean;
}

/** Every upstream of `snapshot` that has a guard in place of limits. */
export function viewGuards(snapshot: Snapshot, table: SharedArrayBuffer): GuardView[] {
  const layout = placeLayout(snapshot);
  const words = new Int32Array(table);
  return upstreamsOf(snapshot).flatMap(([number, upstream]) => {
    if (!isGuarded(upstream)) return [];
    const place = placeOfUpstream(snapshot, number);
    const word = (of: number): number => Atomics.load(words, layout.place(place) + of);
    let limit = 0;
    for (let shard = 0; shard < snapshot.shards.count; shard++) {
      limit += Atomics.load(words, layout.own(shard) + place * OWN_WORDS + GUARD_LIMIT);
    }
    return [{ upstream: upstream.name, limit, waiting: word(WAITING), shed: word(SHED) >>> 0, isShedding: word(SHEDDING) !== 0 }];
  });
}

function viewAdaptive(words: Int32Array, at: number): AdaptiveView {
  return {
    limit: Math.floor(Atomics.load(words, at + LIMIT) / LIMIT_UNIT),
    baseUs: Atomics.load(words, at + BASE_US),
    latestUs: Atomics.load(words, at + LATEST_US),
  };
}
