/** Places and adaptive limits as the main thread sees them: for metrics and the admin API. */

import type { Snapshot } from '../../config/snapshot.ts';
import { BASE_US, LATEST_US, LIMIT, LIMIT_UNIT } from './concurrency/cells.ts';
import {
  HELD_US,
  IN_FLIGHT,
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
  /** Exchanges turned away because there was no place, and because of the adaptive limit; modulo 2^32. */
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

/** Every place of `snapshot` that has a limit; `table` was made for it. Places without one are not counted. */
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
    ...snapshot.routes.flatMap(({ name, bulkhead: { max, queue } }, i) =>
      max === 0 ? [] : [view('route', name, placeOfRoute(snapshot, i), max, queue)],
    ),
    ...snapshot.upstreams.flatMap(({ name, bulkhead: { max, queue }, concurrency }, i) => {
      if (max === 0 && concurrency === undefined) return [];
      return [view('upstream', name, placeOfUpstream(snapshot, i), max, queue, concurrency && layout.concurrency(i))];
    }),
    ...snapshot.tenants.flatMap(({ name, maxInFlight }, i) =>
      maxInFlight === 0 ? [] : [view('tenant', name, placeOfTenant(snapshot, i), maxInFlight, 0)],
    ),
  ];
}

function viewAdaptive(words: Int32Array, at: number): AdaptiveView {
  return {
    limit: Math.floor(Atomics.load(words, at + LIMIT) / LIMIT_UNIT),
    baseUs: Atomics.load(words, at + BASE_US),
    latestUs: Atomics.load(words, at + LATEST_US),
  };
}
