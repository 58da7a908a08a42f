/**
 * The shared state of an upstream's adaptive limit: the limit, the open window of samples, and the
 * base latency. Sixteen Int32 words in the place table. All shards add samples; the shard that
 * closes a window, by compare-and-swap, sets the limit.
 */

import type { ConcurrencySnapshot } from '../../../config/snapshot/limit.ts';

/** The limit, in 256ths. */
export const LIMIT = 0;
/** When the window began, ms. */
export const WINDOW_AT_MS = 1;
/**
 * Answers of the window: their number, the sum of their latencies (16 µs), the number of late ones,
 * the number of failures.
 */
export const SAMPLES = 2;
export const SUM = 3;
export const LATE = 4;
export const DROPS = 5;
/** Maximum of exchanges in flight during the window. */
export const PEAK = 6;
/** Latency without a queue, µs; 0 if unknown. */
export const BASE_US = 7;
/** Latency of the last window, µs. */
export const LATEST_US = 8;
/** Time of the next measurement of the base latency, ms. */
export const PROBE_AT_MS = 9;
/** The limit to restore after the measurement, in 256ths; 0 if no measurement is running. */
export const AFTER_PROBE = 10;
/** Progress of the measurement; 0 if none is running. */
export const PROBE_PHASE = 11;

export const LIMIT_UNIT = 256;

/** Sets the initial limit, or clamps the present one to new bounds. */
export function initialLimit(words: Int32Array, at: number, { initial, min, max }: ConcurrencySnapshot): void {
  const known = words[at + LIMIT]! / LIMIT_UNIT;
  words[at + LIMIT] = Math.round(Math.min(max, Math.max(min, known === 0 ? initial : known)) * LIMIT_UNIT);
}
