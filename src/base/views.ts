/**
 * Views of shared tables, one a table for all who look at it. A view is an object of its own,
 * larger than a cache line: a thousand routes with one each for the same memory would push one
 * another out of the cache.
 */

const WORDS = new WeakMap<SharedArrayBuffer, Int32Array>();

/** `table` by Int32 words. */
export function wordsOf(table: SharedArrayBuffer): Int32Array {
  const known = WORDS.get(table);
  if (known !== undefined) return known;
  const words = new Int32Array(table);
  WORDS.set(table, words);
  return words;
}

/** A copy in shared memory. */
export function inSharedMemory(array: Uint8Array): Uint8Array;
export function inSharedMemory(array: Int32Array): Int32Array;
export function inSharedMemory(array: Uint32Array): Uint32Array;
export function inSharedMemory(array: Uint8Array | Int32Array | Uint32Array): Uint8Array | Int32Array | Uint32Array {
  const memory = new SharedArrayBuffer(array.byteLength);
  const copy =
    array instanceof Uint8Array ? new Uint8Array(memory) : array instanceof Int32Array ? new Int32Array(memory) : new Uint32Array(memory);
  copy.set(array);
  return copy;
}
