/**
 * Places: how many exchanges of a route, an upstream or a tenant are in flight and how many wait,
 * for all shards, in shared memory. Changed by atomic operations only; nothing is locked, so a
 * worker that dies in the middle stops nobody.
 *
 * Int32 words: a life of each shard; 16 words a place (routes, then upstreams, then tenants); 16
 * words an upstream for its concurrency limit; and four words a place for each shard, its own part
 * of the sums, which only that shard writes (`./life.ts`).
 */

import { wordsOf } from '../../base/views.ts';
import { roomOf, upstreamsOf } from '../../config/numbering/in-use.ts';
import type { LaneSnapshot } from '../../config/route-table.ts';
import { fallQuiet, strike } from '../latch.ts';
import { initialLimit } from './concurrency/cells.ts';

/**
 * Words of a place: in flight and waiting stand first and in this order, as in a shard's own part.
 */
export const IN_FLIGHT = 0;
export const WAITING = 1;
/** Mean time that an exchange keeps its place, µs. */
export const HELD_US = 2;
/** Exchanges turned away because there was no place. */
export const REFUSED = 3;
/** 1 while exchanges are shed, and when the last was, ms. */
export const SHEDDING = 4;
const SHED_AT_MS = 5;
/** Exchanges shed. */
export const SHED = 6;

/** Words of a shard's own part of a place: what its worker took, and what workers before it did. */
export const OWN_WORDS = 4;
export const EARLIER = 2;
/** The limit that the shard's guard has now, 0 for none. */
export const GUARD_LIMIT = 3;

/** Words to a cache line. */
const LINE = 16;

/** Where things lie, in words. */
export interface PlaceLayout {
  readonly places: number;
  readonly words: number;
  life(shard: number): number;
  place(number: number): number;
  concurrency(upstream: number): number;
  /** First word of a shard's own part, place by place. */
  own(shard: number): number;
}

export function placeLayout(snapshot: LaneSnapshot): PlaceLayout {
  const { shards } = snapshot;
  const room = roomOf(snapshot);
  const places = room.routes + room.upstreams + room.tenants;
  const first = lines(shards.count);
  const concurrency = first + places * LINE;
  const own = concurrency + room.upstreams * LINE;
  const ownWords = lines(places * OWN_WORDS);
  return {
    places,
    words: own + ownWords * Math.max(1, shards.count),
    life: (shard) => shard,
    place: (number) => first + number * LINE,
    concurrency: (upstream) => concurrency + upstream * LINE,
    own: (shard) => own + shard * ownWords,
  };
}

/** Numbers of places. */
export const placeOfRoute = (_snapshot: LaneSnapshot, route: number): number => route;
export const placeOfUpstream = (snapshot: LaneSnapshot, upstream: number): number => roomOf(snapshot).routes + upstream;
export const placeOfTenant = (snapshot: LaneSnapshot, tenant: number): number => {
  const { routes, upstreams } = roomOf(snapshot);
  return routes + upstreams + tenant;
};

/** Every place of what `snapshot` has. */
export function placesOf(snapshot: LaneSnapshot): number[] {
  return [
    ...Array.from({ length: snapshot.routes.length }, (_, route) => placeOfRoute(snapshot, route)),
    ...snapshot.upstreams.map((_, upstream) => placeOfUpstream(snapshot, upstream)),
    ...snapshot.tenants.map((_, tenant) => placeOfTenant(snapshot, tenant)),
  ];
}

/** Room for every route, upstream and tenant of `snapshot`. */
export function createPlaceTable(snapshot: LaneSnapshot): SharedArrayBuffer {
  const layout = placeLayout(snapshot);
  const table = new SharedArrayBuffer(layout.words * 4);
  const words = new Int32Array(table);
  // A life of one table should not pass for one of another.
  for (let shard = 0; shard < snapshot.shards.count; shard++) words[layout.life(shard)] = Math.floor(Math.random() * 255);
  beginLimits(table, snapshot);
  return table;
}

/**
 * Upstreams whose limit follows the latency from now on begin as they are configured; where it does
 * already it stays, within its bounds.
 */
export function beginLimits(table: SharedArrayBuffer, snapshot: LaneSnapshot): void {
  const words = new Int32Array(table);
  const layout = placeLayout(snapshot);
  for (const [number, upstream] of upstreamsOf(snapshot)) {
    if (upstream.concurrency !== undefined) initialLimit(words, layout.concurrency(number), upstream.concurrency);
  }
}

/**
 * What was counted at these places was counted of others. Who is in flight and waits is taken off
 * by those who counted it.
 */
export function forgetPlaces(
  table: SharedArrayBuffer,
  snapshot: LaneSnapshot,
  places: readonly number[],
  upstreams: readonly number[],
): void {
  const words = new Int32Array(table);
  const layout = placeLayout(snapshot);
  for (const place of places) words.fill(0, layout.place(place) + HELD_US, layout.place(place) + LINE);
  for (const upstream of upstreams) words.fill(0, layout.concurrency(upstream), layout.concurrency(upstream) + LINE);
}

/** One place as one shard sees it. */
export class Place {
  private readonly words: Int32Array;
  private readonly at: number;
  private readonly own: number;

  /** Place `number` of `table`, which was made for `snapshot`. */
  constructor(table: SharedArrayBuffer, snapshot: LaneSnapshot, shard: number, number: number) {
    const layout = placeLayout(snapshot);
    this.words = wordsOf(table);
    this.at = layout.place(number);
    this.own = layout.own(shard) + number * OWN_WORDS;
  }

  /** As it was a moment ago: who takes a place by it finds out by `take`. */
  get inFlight(): number {
    return this.words[this.at + IN_FLIGHT]!;
  }

  get waiting(): number {
    return this.words[this.at + WAITING]!;
  }

  /** How long exchanges keep a place, ms on average; 0 when not known. */
  get heldMs(): number {
    return this.words[this.at + HELD_US]! / 1_000;
  }

  /** Takes a place if fewer than `max` are taken. */
  take(max: number): boolean {
    return this.add(IN_FLIGHT, max);
  }

  giveBack(): void {
    this.subtract(IN_FLIGHT);
  }

  /** What a worker of an earlier life took is given back. More than it took is not. */
  giveBackEarlier(): void {
    const { words, own } = this;
    if (words[own + EARLIER]! === 0) return;
    words[own + EARLIER] = words[own + EARLIER]! - 1;
    this.takeOff(IN_FLIGHT, 1);
  }

  /**
   * An exchange goes on that a worker of an earlier life gave its place: it is of this life now.
   */
  adopt(): void {
    const { words, own } = this;
    if (words[own + EARLIER]! > 0) words[own + EARLIER] = words[own + EARLIER]! - 1;
    else Atomics.add(words, this.at + IN_FLIGHT, 1);
    words[own + IN_FLIGHT] = words[own + IN_FLIGHT]! + 1;
  }

  /** Nobody will bring back what is left of an earlier life. */
  writeOff(): void {
    const { words, own } = this;
    this.takeOff(IN_FLIGHT, words[own + EARLIER]!);
    words[own + EARLIER] = 0;
  }

  /** Joins those who wait if they are fewer than `max`. */
  join(max: number): boolean {
    return this.add(WAITING, max);
  }

  leave(): void {
    this.subtract(WAITING);
  }

  /** An exchange kept its place for `us`. Two shards at once may lose one of two samples. */
  held(us: number): void {
    const at = this.at + HELD_US;
    const mean = this.words[at]!;
    this.words[at] = mean === 0 ? us : mean + Math.trunc((Math.min(us, 2 ** 30) - mean) / 16);
  }

  /** Shows the limit of this shard's guard, 0 for none. */
  showLimit(limit: number): void {
    this.words[this.own + GUARD_LIMIT] = limit;
  }

  refused(): void {
    Atomics.add(this.words, this.at + REFUSED, 1);
  }

  /** An exchange was shed: true for the first of a while. */
  shed(nowMs: number): boolean {
    Atomics.add(this.words, this.at + SHED, 1);
    return strike(this.words, this.at + SHEDDING, this.at + SHED_AT_MS, nowMs);
  }

  /** True for the one who finds that nothing was shed for `quietMs`. */
  shedNoMore(nowMs: number, quietMs: number): boolean {
    return fallQuiet(this.words, this.at + SHEDDING, this.at + SHED_AT_MS, nowMs, quietMs);
  }

  private add(word: number, max: number): boolean {
    const { words, at } = this;
    for (;;) {
      const known = Atomics.load(words, at + word);
      if (known >= max) return false;
      if (Atomics.compareExchange(words, at + word, known, known + 1) === known) break;
    }
    words[this.own + word] = words[this.own + word]! + 1;
    return true;
  }

  /** What was given back twice is given back once: a count never falls below zero. */
  private subtract(word: number): void {
    const { words, own } = this;
    if (words[own + word]! > 0) words[own + word] = words[own + word]! - 1;
    this.takeOff(word, 1);
  }

  private takeOff(word: number, count: number): void {
    const { words, at } = this;
    const before = Atomics.sub(words, at + word, count);
    if (before < count) Atomics.add(words, at + word, count - Math.max(0, before));
  }
}

function lines(words: number): number {
  return Math.max(1, Math.ceil(words / LINE)) * LINE;
}
