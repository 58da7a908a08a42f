/**
 * The fitness of every backend, in memory that all shards and the main thread share: one block per
 * backend, then one per upstream. Counts and states are Int32 words changed by atomics, so that
 * exactly one shard sees that it made a change. Times are Float64 cells; the last writer wins. A
 * worker may die between any two writes. So the state word is written last and is the only truth;
 * all other cells only say since when and until when.
 */

import type { RoomSnapshot } from '../../config/snapshot/snapshot.ts';

/** Int32 words of a backend's block: 256 bytes. */
export const BACKEND_WORDS = 64;
/** Float64 cells of the same block. */
export const BACKEND_FLOATS = BACKEND_WORDS / 2;

/**
 * Bits of what keeps the backend from being picked; 0 if nothing does. `admits` reads only this
 * word.
 */
export const BARS_WORD = 0;
/** State of the breaker, in the low bits of BARS_WORD: 0 is closed. */
export const OPEN = 1;
export const HALF_OPEN = 2;
export const BREAKER_BITS = 3;
/** Ejected as an outlier rather than by its breaker. Means nothing without OPEN or HALF_OPEN. */
export const AS_OUTLIER = 4;
/** Active health checks found it down. */
export const DOWN = 8;
/** Held off by its own Retry-After. */
export const HELD_OFF = 16;
/** In slow start. Does not keep it from being picked. */
export const STARTS_SLOWLY = 32;
/** A backend with any of these bits gets no requests, except for probes of a half-open breaker. */
export const BARRING_BITS = BREAKER_BITS | DOWN | HELD_OFF;

/** Verdict of active health checks: 0 unknown, 1 up, 2 down. Written by the main thread. */
export const HEALTH_WORD = 1;
/** Consecutive failures. */
export const CONSECUTIVE_WORD = 2;
/** Ejections since the table was made, and consecutive ejections. */
export const EJECTIONS_WORD = 3;
export const IN_ROW_WORD = 4;
/** Probes of a half-open breaker: those in flight, and those that succeeded. */
export const PROBES_WORD = 5;
export const SUCCESSES_WORD = 6;
/** Reason of the last counted failure, and its status if it was a response. */
export const LAST_REASON_WORD = 7;
export const LAST_STATUS_WORD = 8;
/** The second in which a denied ejection was last reported. */
export const DENIED_WORD = 9;
/** Outcomes and successes of this interval, for outlier detection. */
export const INTERVAL_OUTCOMES_WORD = 10;
export const INTERVAL_SUCCESSES_WORD = 11;
/** Slices of the sliding window: outcomes, then failures (`./window.ts`). */
export const WINDOW_WORD = 16;

/**
 * The Float64 cells hold milliseconds on the clock shared by all shards; 0 for never. This one:
 * when an open breaker may be half-opened.
 */
export const OPEN_UNTIL_F64 = 20;
/** Length of the last ejection. */
export const LAST_EJECTION_F64 = 21;
/** Since when the breaker has been in its state. */
export const SINCE_F64 = 22;
export const HELD_UNTIL_F64 = 23;
/** When the backend came back: its slow start begins here. */
export const RETURNED_F64 = 24;
export const LAST_FAILURE_F64 = 25;
/** When the latest probe began. */
export const PROBED_F64 = 26;
/** The earliest time at which active checks can find it up again. Written by the main thread. */
export const UP_AGAIN_F64 = 27;

/** Int32 words of an upstream's block: 64 bytes. */
const UPSTREAM_WORDS = 16;
/** 1 while the upstream panics. */
export const PANIC_WORD = 0;
/** Number of the interval that was compared last. */
export const COMPARED_WORD = 1;

/**
 * A table for the backends and upstreams of a snapshot. All zero means closed, health unknown,
 * nothing counted.
 */
export function createStandingTable(source: StandingRoom): SharedArrayBuffer {
  const upstreams = source.numbering?.room.upstreams ?? source.upstreams.length;
  return new SharedArrayBuffer((backendRoom(source) * BACKEND_WORDS + Math.max(1, upstreams) * UPSTREAM_WORDS) * 4);
}

/** How many backends and upstreams there are, or may be. */
export interface StandingRoom {
  readonly backends: { readonly length: number };
  readonly upstreams: { readonly length: number };
  readonly numbering?: { readonly room: RoomSnapshot };
}

/** How many backends the table has room for. The blocks of upstreams follow. */
export function backendRoom({ backends, numbering }: Pick<StandingRoom, 'backends' | 'numbering'>): number {
  return numbering?.room.backends ?? backends.length;
}

/** Resets numbers that were reused for other backends and upstreams to the state of a new table. */
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

/** The first word of the block of `upstream`. */
export function upstreamWord(backendCount: number, upstream: number): number {
  return backendCount * BACKEND_WORDS + upstream * UPSTREAM_WORDS;
}

/**
 * Changes the breaker's state from `from` to `to` (optionally with AS_OUTLIER); true if this call
 * made the change. Other bits stay.
 */
export function enter(words: Int32Array, word: number, from: number, to: number): boolean {
  for (;;) {
    const bars = Atomics.load(words, word);
    if ((bars & BREAKER_BITS) !== from) return false;
    const next = (bars & ~(BREAKER_BITS | AS_OUTLIER)) | to;
    if (Atomics.compareExchange(words, word, bars, next) === bars) return true;
  }
}

/** Sets `bit`; true if this call made the change. */
export function raise(words: Int32Array, word: number, bit: number): boolean {
  return (Atomics.or(words, word, bit) & bit) === 0;
}

/** Clears `bit`; true if this call made the change. */
export function lower(words: Int32Array, word: number, bit: number): boolean {
  return (Atomics.and(words, word, ~bit) & bit) !== 0;
}
