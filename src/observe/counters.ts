/**
 * The counters of a lane: one table of numbers in shared memory a shard, written by its worker
 * alone and read by the main thread at scrape, so that no message goes round for a request. Where a
 * number lies follows from the snapshot; both sides compute it.
 *
 * Its size is bounded: routes beyond ROUTE_SERIES are counted together, whatever the configuration
 * has. A successor of a dead worker goes on counting where that one ended.
 */

import { REASONS } from '../base/errors.ts';
import { NOTES } from '../base/notes.ts';
import { inUse, roomOf } from '../config/numbering/in-use.ts';
import { type LaneSnapshot, nameOf } from '../config/route-table.ts';
import { APPLY_BUCKETS, BATCH_BUCKETS, DECIDE_BUCKETS, DURATION_BUCKETS, LATENESS_BUCKETS } from './buckets.ts';
import { LOSSES } from './output.ts';

/** Routes that have series of their own. */
export const ROUTE_SERIES = 512;
/** Label of requests that no route matched, and of routes beyond ROUTE_SERIES. */
const NO_ROUTE_LABEL = '(none)';
const OTHER_ROUTES_LABEL = '(other)';
/** Label of notes that concern no upstream. */
export const NO_UPSTREAM_LABEL = '(none)';

/**
 * Classes of the status sent, by its first digit; the first is for exchanges that ended without
 * one.
 */
export const STATUS_CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** Phases that are timed, in the order of their histograms. */
export const PHASES = ['decide', 'open', 'send', 'await', 'total'] as const;

const REASON_COUNT = REASONS.length;

/** Places within the block of a route. */
export const ROUTE_STATUS = 0;
export const ROUTE_BYTES_IN = STATUS_CLASSES.length;
export const ROUTE_BYTES_OUT = ROUTE_BYTES_IN + 1;
export const ROUTE_DURATION = ROUTE_BYTES_OUT + 1;
export const ROUTE_REASONS = ROUTE_DURATION + DURATION_BUCKETS.stride;
const ROUTE_STRIDE = ROUTE_REASONS + REASON_COUNT;

/** Places within the block of a backend. */
export const BACKEND_ATTEMPTS = 0;
export const BACKEND_RETRIES = 1;
export const BACKEND_REASONS = 2;
const BACKEND_STRIDE = BACKEND_REASONS + REASON_COUNT;

/** An upstream's block: counts of notes, then of the reasons that were retried. */
const UPSTREAM_STRIDE = NOTES.length + REASON_COUNT;

/** A listener's block is a histogram a phase. */
const LISTENER_STRIDE = PHASES.length * DURATION_BUCKETS.stride;

/** Places of what is the shard's own, at the beginning of the table. */
export const SHARD_FAILURES = 0;
export const SHARD_LINES = 1;
/** One for each of `LOSSES`. */
export const SHARD_LINES_LOST = 2;
export const SHARD_LOOP_UTILIZATION = SHARD_LINES_LOST + LOSSES.length;
export const SHARD_HEAP_BYTES = SHARD_LOOP_UTILIZATION + 1;
export const SHARD_DECIDE = SHARD_HEAP_BYTES + 1;
export const SHARD_BATCH = SHARD_DECIDE + DECIDE_BUCKETS.stride;
export const SHARD_LATENESS = SHARD_BATCH + BATCH_BUCKETS.stride;
export const SHARD_APPLY = SHARD_LATENESS + LATENESS_BUCKETS.stride;
const SHARD_STRIDE = SHARD_APPLY + APPLY_BUCKETS.stride;

/** Dense place of a reason's number; unknown numbers count as `lane_failed`. */
const REASON_PLACES: Uint8Array = placeReasons();

/** Where each block of a snapshot's table begins. */
export class CounterLayout {
  /**
   * Labels of route series and where their blocks begin, in configured order; the last two are
   * NO_ROUTE_LABEL and OTHER_ROUTES_LABEL.
   */
  readonly routeSeries: readonly { readonly label: string; readonly at: number }[];
  /** How many float64 the table has. */
  readonly length: number;

  /** By route number, of those that may have series. */
  private readonly routePlaces: Int32Array;
  private readonly routeCount: number;
  private readonly others: number;
  private readonly noRoute: number;
  private readonly backendsAt: number;
  private readonly backendCount: number;
  private readonly listenersAt: number;
  private readonly listenerCount: number;
  private readonly upstreamsAt: number;
  private readonly upstreamCount: number;

  constructor(snapshot: LaneSnapshot) {
    const room = roomOf(snapshot);
    // Routes of one name are counted together, under the number of the first.
    const series = new Map<string, number>();
    for (const number of inUse(snapshot, 'routes')) {
      if (number >= ROUTE_SERIES) continue;
      const name = nameOf(snapshot.routes, number);
      if (!series.has(name)) series.set(name, number);
    }
    const [noRoute, others] = [blockOfRoute(0), blockOfRoute(1)];
    this.noRoute = noRoute;
    this.routeSeries = [
      ...[...series].map(([label, number]) => ({ label, at: blockOfRoute(number + 2) })),
      { label: NO_ROUTE_LABEL, at: noRoute },
      { label: OTHER_ROUTES_LABEL, at: others },
    ];
    const { length } = snapshot.routes;
    this.routeCount = length;
    this.others = others;
    this.routePlaces = Int32Array.from({ length: Math.min(length, ROUTE_SERIES) }, (_, number) =>
      blockOfRoute((series.get(nameOf(snapshot.routes, number)) ?? number) + 2),
    );
    this.backendsAt = blockOfRoute(Math.min(ROUTE_SERIES, room.routes) + 2);
    this.backendCount = room.backends;
    this.upstreamsAt = this.backendsAt + this.backendCount * BACKEND_STRIDE;
    this.upstreamCount = room.upstreams;
    this.listenersAt = this.upstreamsAt + (this.upstreamCount + 1) * UPSTREAM_STRIDE;
    this.listenerCount = room.listeners;
    this.length = this.listenersAt + this.listenerCount * LISTENER_STRIDE;
  }

  /** Block of route `number`, -1 for none. */
  routeAt(number: number): number {
    if (number >= 0 && number < this.routePlaces.length) return this.routePlaces[number]!;
    return number < 0 || number >= this.routeCount ? this.noRoute : this.others;
  }

  /** Block of backend `slot`, or -1 when the snapshot has no such backend. */
  backendAt(slot: number): number {
    return slot >= 0 && slot < this.backendCount ? this.backendsAt + slot * BACKEND_STRIDE : -1;
  }

  /** Notes of upstream `number`, by note; -1 for those that concern none. */
  notesAt(number: number): number {
    return this.upstreamsAt + (number >= 0 && number < this.upstreamCount ? number : this.upstreamCount) * UPSTREAM_STRIDE;
  }

  /** Reasons that were retried at upstream `number`. */
  retriedAt(number: number): number {
    return this.notesAt(number) + NOTES.length;
  }

  /** Histogram of phase 0 of a listener, or -1. */
  listenerAt(number: number): number {
    return number < this.listenerCount ? this.listenersAt + number * LISTENER_STRIDE : -1;
  }
}

function blockOfRoute(place: number): number {
  return SHARD_STRIDE + place * ROUTE_STRIDE;
}

/**
 * What was counted under these numbers was counted of others. Only for numbers that no exchange
 * knows.
 */
export function forgetCounts(
  table: Float64Array,
  snapshot: LaneSnapshot,
  fresh: { readonly [K in 'routes' | 'upstreams' | 'backends' | 'listeners']: readonly number[] },
): void {
  const layout = new CounterLayout(snapshot);
  const forget = (at: number, length: number): Float64Array => table.fill(0, at, at + length);
  for (const number of fresh.routes) if (number < ROUTE_SERIES) forget(layout.routeAt(number), ROUTE_STRIDE);
  for (const slot of fresh.backends) forget(layout.backendAt(slot), BACKEND_STRIDE);
  for (const number of fresh.upstreams) forget(layout.notesAt(number), UPSTREAM_STRIDE);
  for (const number of fresh.listeners) forget(layout.listenerAt(number), LISTENER_STRIDE);
}

/** The table of one shard, all zero. */
export function createCounters(snapshot: LaneSnapshot): SharedArrayBuffer {
  return new SharedArrayBuffer(new CounterLayout(snapshot).length * Float64Array.BYTES_PER_ELEMENT);
}

/** Place of a reason within a block of reasons, which follows the registry's order. */
export function reasonPlace(reason: number): number {
  return REASON_PLACES[reason < REASON_PLACES.length ? reason : REASON_PLACES.length - 1]!;
}

function placeReasons(): Uint8Array {
  const unknown = REASONS.findIndex((row) => row.code === 'lane_failed');
  const places = new Uint8Array(128).fill(unknown);
  for (const [place, row] of REASONS.entries()) places[row.number] = place;
  return places;
}
