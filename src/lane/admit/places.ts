/**
 * Places: how many exchanges of a route, an upstream or a tenant are in flight and how many wait,
 * for all shards, in shared memory.
 *
 * Only atomic operations change them. Nothing is locked, so a worker that dies in between blocks
 * nobody. Layout in Int32 words: the life of each shard; 16 words per place (routes, then
 * upstreams, then tenants); 16 words per upstream for its concurrency limit; then per shard four
 * words per place, its own share of the totals, which only that shard writes (`./life.ts`).
 */

import { wordsOf } from '../../base/views.ts';
import { roomOf, upstreamsOf } from '../../config/numbering/in-use.ts';
import type { LaneSnapshot } from '../../config/route-table.ts';
import { fallQuiet, strike } from '../latch.ts';
import { initialLimit } from './concurrency/cells.ts';

/**
 * Words of a place. In flight and waiting come first and in this order, as in a shard's own share.
 */
export const IN_FLIGHT = 0;
export const WAITING = 1;
/** Mean time that an exchange keeps its place, µs. */
export const HELD_US = 2;
/** Exchanges turned away because there was no place. */
export const REFUSED = 3;
/** 1 while exchanges are shed, and the time of the last one, ms. */
export const SHEDDING = 4;
const SHED_AT_MS = 5;
/** Exchanges shed. */
export const SHED = 6;

/** Words of a shard's own share of a place: what its worker took, and what earlier workers took. */
export const OWN_WORDS = 4;
export const EARLIER = 2;
/** The present limit of the shard's guard; 0 for none. */
export const GUARD_LIMIT = 3;

/** Words per cache line. */
const LINE = 16;

/** Offsets in words. */
export interface PlaceLayout {
  readonly places: number;
  readonly words: number;
  life(shard: number): number;
  place(number: number): number;
  concurrency(upstream: number): number;
  /** First word of a shard's own share, place by place. */
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
export const placeOfRoute = (route: number): number => route;
export const placeOfUpstream = (snapshot: LaneSnapshot, upstream: number): number => roomOf(snapshot).routes + upstream;
export const placeOfTenant = (snapshot: LaneSnapshot, tenant: number): number => {
  const { routes, upstreams } = roomOf(snapshot);
  return routes + upstreams + tenant;
};

/** All places of `snapshot`. */
export function placesOf(snapshot: LaneSnapshot): number[] {
  return [
    ...Array.from({ length: snapshot.routes.length }, (_, route) => placeOfRoute(route)),
    ...snapshot.upstreams.map((_, upstream) => placeOfUpstream(snapshot, upstream)),
    ...snapshot.tenants.map((_, tenant) => placeOfTenant(snapshot, tenant)),
  ];
}

/** A table with room for every route, upstream and tenant of `snapshot`. */
export function createPlaceTable(snapshot: LaneSnapshot): SharedArrayBuffer {
  const layout = placeLayout(snapshot);
  const table = new SharedArrayBuffer(layout.words * 4);
  const words = new Int32Array(table);
  // Random, so that a life of one table is not taken for one of another.
  for (let shard = 0; shard < snapshot.shards.count; shard++) words[layout.life(shard)] = Math.floor(Math.random() * 255);
  beginLimits(table, snapshot);
  return table;
}

/**
 * Initialises the limits of upstreams that become adaptive. Limits that already were keep their
 * value, within the new bounds.
 */
export function beginLimits(table: SharedArrayBuffer, snapshot: LaneSnapshot): void {
  const words = new Int32Array(table);
  const layout = placeLayout(snapshot);
  for (const [number, upstream] of upstreamsOf(snapshot)) {
    if (upstream.concurrency !== undefined) initialLimit(words, layout.concurrency(number), upstream.concurrency);
  }
}

/**
 * Clears places whose numbers are used again. Exchanges in flight and waiting are taken off by
 * whoever counted them.
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

/**
 * Whether workers of earlier lives of `shard` took something at a place that nobody has brought
 * back.
 */
export function hasEarlier(table: SharedArrayBuffer, snapshot: LaneSnapshot, shard: number): (place: number) => boolean {
  const words = wordsOf(table);
  const own = placeLayout(snapshot).own(shard);
  return (place) => words[own + place * OWN_WORDS + EARLIER] !== 0;
}

/** One place, as one shard sees it. */
export class Place {
  private readonly words: Int32Array;
  private readonly at: number;
  private readonly own: number;

  /** Place `number` of `table`, which was created for `snapshot`. */
  constructor(table: SharedArrayBuffer, snapshot: LaneSnapshot, shard: number, number: number) {
    const layout = placeLayout(snapshot);
    this.words = wordsOf(table);
    this.at = layout.place(number);
    this.own = layout.own(shard) + number * OWN_WORDS;
  }

  /** A moment old; `take` is what decides. */
  get inFlight(): number {
    return this.words[this.at + IN_FLIGHT]!;
  }

  get waiting(): number {
    return this.words[this.at + WAITING]!;
  }

  /** Mean time that exchanges keep a place, ms; 0 if unknown. */
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

  /** Returns a place that an earlier worker took, but never more than it took. */
  giveBackEarlier(): void {
    const { words, own } = this;
    if (words[own + EARLIER]! === 0) return;
    words[own + EARLIER] = words[own + EARLIER]! - 1;
    this.takeOff(IN_FLIGHT, 1);
  }

  /** An exchange that got its place from an earlier worker goes on: this worker counts it now. */
  adopt(): void {
    const { words, own } = this;
    if (words[own + EARLIER]! > 0) words[own + EARLIER] = words[own + EARLIER]! - 1;
    else Atomics.add(words, this.at + IN_FLIGHT, 1);
    words[own + IN_FLIGHT] = words[own + IN_FLIGHT]! + 1;
  }

  /** Drops what is left of earlier workers: nobody will return it. */
  writeOff(): void {
    const { words, own } = this;
    this.takeOff(IN_FLIGHT, words[own + EARLIER]!);
    words[own + EARLIER] = 0;
  }

  /** Joins the queue if fewer than `max` wait. */
  join(max: number): boolean {
    return this.add(WAITING, max);
  }

  leave(): void {
    this.subtract(WAITING);
  }

  /** An exchange kept its place for `us`. Of two samples at the same time one may be lost. */
  held(us: number): void {
    const at = this.at + HELD_US;
    const mean = this.words[at]!;
    this.words[at] = mean === 0 ? us : mean + Math.trunc((Math.min(us, 2 ** 30) - mean) / 16);
  }

  /** Publishes the limit of this shard's guard; 0 for none. */
  showLimit(limit: number): void {
    this.words[this.own + GUARD_LIMIT] = limit;
  }

  refused(): void {
    Atomics.add(this.words, this.at + REFUSED, 1);
  }

  /** An exchange was shed; true for the first in a while. */
  shed(nowMs: number): boolean {
    Atomics.add(this.words, this.at + SHED, 1);
    return strike(this.words, this.at + SHEDDING, this.at + SHED_AT_MS, nowMs);
  }

  /** True, once, if nothing was shed for `quietMs`. */
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

  /** Stops at zero, so that a place returned twice counts once. */
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
