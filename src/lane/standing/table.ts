/**
 * What is known of each backend's fitness, in memory that all shards and the main thread see: a
 * block a backend, then a block an upstream. Counts and states are Int32 words changed by atomics,
 * so that of several shards exactly one sees that it made a change; times are Float64 cells whose
 * last writer wins. A worker may die between any two of its writes: the state word is always
 * written last and says alone what is true, whatever stands beside it only says since when and
 * until when.
 */

import type { RoomSnapshot } from '../../config/snapshot/snapshot.ts';

/** Int32 words of a backend's block: 256 bytes. */
export const BACKEND_WORDS = 64;
/** The same block in Float64 cells. */
export const BACKEND_FLOATS = BACKEND_WORDS / 2;

/** What bars the backend, as bits; 0 when nothing does. The one word that `admits` reads. */
export const BARS_WORD = 0;
/** State of the breaker in the low bits of the word above: 0 closed, or one of these. */
export const OPEN = 1;
export const HALF_OPEN = 2;
export const BREAKER_BITS = 3;
/** Ejected by comparison with the others rather than by its breaker. Says nothing by itself. */
export const AS_OUTLIER = 4;
/** Active health checks find it unhealthy. */
export const DOWN = 8;
/** It asked to be left alone for a time. */
export const HELD_OFF = 16;
/** Its share still rises. Bars nothing. */
export const STARTS_SLOWLY = 32;
/** A backend with any of these gets no requests, but for the probes of a half-open breaker. */
export const BARRING_BITS = BREAKER_BITS | DOWN | HELD_OFF;

/** What active health checks say: 0 nothing yet, 1 up, 2 down. Written by the main thread. */
export const HEALTH_WORD = 1;
/** Failures in a row. */
export const CONSECUTIVE_WORD = 2;
/** Ejections since the table was made, and those in a row. */
export const EJECTIONS_WORD = 3;
export const IN_ROW_WORD = 4;
/** Probes in flight, and those that succeeded, of a half-open breaker. */
export const PROBES_WORD = 5;
export const SUCCESSES_WORD = 6;
/** Reason of the last counted failure, and its status when it was an answer. */
export const LAST_REASON_WORD = 7;
export const LAST_STATUS_WORD = 8;
/** Second in which a denied ejection was last told of. */
export const DENIED_WORD = 9;
/** Outcomes and successes of this interval, for the comparison with the others. */
export const INTERVAL_OUTCOMES_WORD = 10;
export const INTERVAL_SUCCESSES_WORD = 11;
/** Slices of the sliding window: outcomes, then failures (`./window.ts`). */
export const WINDOW_WORD = 16;

/**
 * Float64 cells, milliseconds on the clock all shards share; 0 for never. The breaker stays open
 * until …
 */
export const OPEN_UNTIL_F64 = 20;
/** … for so long the last time. */
export const LAST_EJECTION_F64 = 21;
/** The breaker's state has been what it is since then. */
export const SINCE_F64 = 22;
export const HELD_UNTIL_F64 = 23;
/** The backend came back then: its slow start counts from here. */
export const RETURNED_F64 = 24;
export const LAST_FAILURE_F64 = 25;
/** When the latest probe began. */
export const PROBED_F64 = 26;
/**
 * Active checks that found it down can find it up again then at the earliest. Written by the main
 * thread.
 */
export const UP_AGAIN_F64 = 27;

/** Int32 words of an upstream's block: 64 bytes. */
const UPSTREAM_WORDS = 16;
/** 1 while the upstream panics. */
export const PANIC_WORD = 0;
/** Number of the interval whose backends were compared last. */
export const COMPARED_WORD = 1;

/**
 * Room for the backends and upstreams of a snapshot. All zero: closed, health unknown, nothing
 * counted.
 */
export function createStandingTable(source: StandingRoom): SharedArrayBuffer {
  const upstreams = source.numbering?.room.upstreams ?? source.upstreams.length;
  return new SharedArrayBuffer((backendRoom(source) * BACKEND_WORDS + Math.max(1, upstreams) * UPSTREAM_WORDS) * 4);
}

/** How many there are of each, or may be. */
export interface StandingRoom {
  readonly backends: { readonly length: number };
  readonly upstreams: { readonly length: number };
  readonly numbering?: { readonly room: RoomSnapshot };
}

/** For how many backends the table has room, which says where those of upstreams begin. */
export function backendRoom({ backends, numbering }: Pick<StandingRoom, 'backends' | 'numbering'>): number {
  return numbering?.room.backends ?? backends.length;
}

/** What was known under these numbers was known of others: as in a new table. */
export function forgetStanding(
  table: SharedArrayBuffer,
  source: StandingRoom,
  backends: readonly number[],
  upstreams: readonly number[],
): void {
  const words = new Int32Array(table);
  for (const slot of backends) words.fill(0, slot * BACKEND_WORDS, (slot + 1) * BACKEND_WORDS);
  for (const upstream of upstreams) {
    const at = upstreamWord(backendRoom(source), upstream);
    words.fill(0, at, at + UPSTREAM_WORDS);
  }
}

/** Word at which the block of the upstream at `upstream` begins. */
export function upstreamWord(backendCount: number, upstream: number): number {
  return backendCount * BACKEND_WORDS + upstream * UPSTREAM_WORDS;
}

/**
 * Changes the breaker's state from `from` to `to` (with AS_OUTLIER if wished) and tells whether it
 * was this call that did. Other bits stay.
 */
export function enter(words: Int32Array, word: number, from: number, to: number): boolean {
  for (;;) {
    const bars = Atomics.load(words, word);
    if ((bars & BREAKER_BITS) !== from) return false;
    const next = (bars & ~(BREAKER_BITS | AS_OUTLIER)) | to;
    if (Atomics.compareExchange(words, word, bars, next) === bars) return true;
  }
}

/** Sets `bit` and tells whether it was this call that did. */
export function raise(words: Int32Array, word: number, bit: number): boolean {
  return (Atomics.or(words, word, bit) & bit) === 0;
}

/** Clears `bit` and tells whether it was this call that did. */
export function lower(words: Int32Array, word: number, bit: number): boolean {
  return (Atomics.and(words, word, ~bit) & bit) !== 0;
}
