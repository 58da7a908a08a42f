/**
 * Latches in memory shared by all shards: a condition begins, and ends once it has been quiet for a
 * while. One word says that it holds, another when it last occurred, in milliseconds modulo 2^32.
 * Exactly one caller learns of each beginning and end.
 */

/** The condition occurs at `nowMs`. True for the first caller that sees it. */
export function strike(words: Int32Array, on: number, atMs: number, nowMs: number): boolean {
  Atomics.store(words, atMs, nowMs | 0);
  return words[on] === 0 && Atomics.compareExchange(words, on, 0, 1) === 0;
}

/** True for the one caller that finds that it has not occurred for `quietMs`. */
export function fallQuiet(words: Int32Array, on: number, atMs: number, nowMs: number, quietMs: number): boolean {
  if (words[on] === 0) return false;
  if ((((nowMs | 0) - Atomics.load(words, atMs)) | 0) < quietMs) return false;
  return Atomics.compareExchange(words, on, 1, 0) === 1;
}
