/**
 * The shared part of an upstream's adaptive limit: the limit itself, the window of samples that is
 * open, and what is known of the latency without a queue. Sixteen Int32 words in the place table.
 * Samples are added by all shards; who closes a window (one of them, by compare-and-swap) decides
 * on the limit.
 */

import type { ConcurrencySnapshot } from '../../../config/snapshot/limit.ts';

/** The limit, in 256ths. */
export const LIMIT = 0;
/** When the window began, ms. */
export const WINDOW_AT_MS = 1;
/**
 * Answers of the window: how many, the sum of what they took (16 µs), how many late, how many
 * failed.
 */
export const SAMPLES = 2;
export const SUM = 3;
export const LATE = 4;
export const DROPS = 5;
/** Most exchanges in flight during the window. */
export const PEAK = 6;
/** Latency without a queue, µs; 0 when not known. */
export const BASE_US = 7;
/** Latency of the last window, µs. */
export const LATEST_US = 8;
/** When the latency without a queue is measured again, ms. */
export const PROBE_AT_MS = 9;
/** The limit that comes back after the measurement, in 256ths; 0 when none is under way. */
export const AFTER_PROBE = 10;
/** 0, or how far the measurement is. */
export const PROBE_PHASE = 11;

export const LIMIT_UNIT = 256;

/** Writes the limit an upstream begins with, or that it goes on with under other bounds. */
export function initialLimit(words: Int32Array, at: number, { initial, min, max }: ConcurrencySnapshot): void {
  const known = words[at + LIMIT]! / LIMIT_UNIT;
  words[at + LIMIT] = Math.round(Math.min(max, Math.max(min, known === 0 ? initial : known)) * LIMIT_UNIT);
}
