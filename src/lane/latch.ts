/**
 * Latches in memory that all shards share: something has begun, and ends when it was quiet for a
 * while. One word says that it is so, another when it last was, in milliseconds modulo 2^32. Of all
 * who see the same beginning or end one is told.
 */

/** It happens at `nowMs`: true for the one who is the first to see it. */
export function strike(words: Int32Array, on: number, atMs: number, nowMs: number): boolean {
  Atomics.store(words, atMs, nowMs | 0);
  return words[on] === 0 && Atomics.compareExchange(words, on, 0, 1) === 0;
}

/** True for the one who finds that it has not happened for `quietMs`. */
export function fallQuiet(words: Int32Array, on: number, atMs: number, nowMs: number, quietMs: number): boolean {
  if (words[on] === 0) return false;
  if ((((nowMs | 0) - Atomics.load(words, atMs)) | 0) < quietMs) return false;
  return Atomics.compareExchange(words, on, 1, 0) === 1;
}
