/**
 * Shared tables: the layout of memory that lanes, reactors and the main thread see at once. One
 * `SharedArrayBuffer` made by the main thread; a slot of 64 bytes (a cache line) for each backend.
 * The reactor knows words 0 and 6 to 9 (`native/core/src/base/table.rs`): of the latter, about
 * connections that all shards count together, nobody else does.
 */

/** Bytes of one backend's slot. */
const BACKEND_SLOT_BYTES = 64;

/**
 * Int32 word within a slot: attempts in flight from all shards. Written by reactors with atomic
 * adds.
 */
export const IN_FLIGHT_WORD = 0;

/** Int32 word: bumped whenever a lane takes a sample. */
export const SAMPLE_COUNT_WORD = 1;

/**
 * Float64 index within a slot (8-byte units): peak-EWMA of the response head's latency,
 * microseconds. Last writer wins.
 */
export const LATENCY_EWMA_F64 = 1;

/**
 * Float64 index: when the sample above was taken, milliseconds of
 * `performance.timeOrigin + performance.now()`.
 */
export const LATENCY_STAMP_F64 = 2;

/** Place of an Int32 word of `slot` in the table. */
export function wordOf(slot: number, word: number): number {
  return slot * (BACKEND_SLOT_BYTES / 4) + word;
}

/** Place of a Float64 of `slot` in the table. */
export function floatOf(slot: number, float: number): number {
  return slot * (BACKEND_SLOT_BYTES / 8) + float;
}

/** A table for `count` backends (at least one slot, so that it can always be mapped). */
export function createBackendTable(count: number): SharedArrayBuffer {
  return new SharedArrayBuffer(Math.max(1, count) * BACKEND_SLOT_BYTES);
}

/**
 * Another backend has `slot` from now on. What reactors count there they take back by themselves.
 */
export function forgetBackend(table: SharedArrayBuffer, slot: number): void {
  new Int32Array(table)[wordOf(slot, SAMPLE_COUNT_WORD)] = 0;
  forgetLatency(table, slot);
}

/**
 * What was known of the latency of `slot` is old: nothing is known any more, so that balancers try
 * it.
 */
export function forgetLatency(table: SharedArrayBuffer, slot: number): void {
  new Float64Array(table)[floatOf(slot, LATENCY_EWMA_F64)] = 0;
}
