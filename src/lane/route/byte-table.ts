/**
 * A hash table from bytes to a number: open addressing in typed arrays. The caller passes the bytes
 * in place and a hash that it computed while it walked over them. The router asks it at every
 * segment border of a path, so it makes no string, no object and no second pass. Keys come from the
 * configuration only, so a client can choose look-ups but cannot make a chain longer.
 */

import { inSharedMemory } from '../../base/views.ts';

/** Start value of a hash. */
export const HASH_START = 0x811c9dc5 | 0;

/** One step of FNV-1a. */
export function hashByte(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x01000193);
}

/** FNV-1a leaves its low bits weak: this mixes the high bits, and `scope`, into them. */
function finish(hash: number, scope: number): number {
  let mixed = Math.imul(hash ^ Math.imul(scope + 1, 0x9e3779b1), 0x85ebca6b);
  mixed ^= mixed >>> 15;
  return mixed;
}

const WORDS = 5;

/** A table that can be posted: its memory is shared. */
export interface PackedBytes {
  readonly entries: Int32Array;
  readonly keys: Uint8Array;
}

export class ByteTable {
  private readonly mask: number;
  /** Per entry: hash, scope, offset in `keys`, length, value + 1 (0 = empty). */
  private readonly entries: Int32Array;
  private keys: Uint8Array;
  private used = 0;

  /**
   * `capacity` is the greatest number of keys; the table stays at most half full. A packed table is
   * read-only.
   */
  constructor(capacity: number | PackedBytes) {
    const size = typeof capacity === 'number' ? 2 ** Math.ceil(Math.log2(Math.max(4, capacity * 2))) : capacity.entries.length / WORDS;
    this.mask = size - 1;
    this.entries = typeof capacity === 'number' ? new Int32Array(size * WORDS) : capacity.entries;
    this.keys = typeof capacity === 'number' ? new Uint8Array(1024) : capacity.keys;
  }

  pack(): PackedBytes {
    return { entries: inSharedMemory(this.entries), keys: inSharedMemory(this.keys.subarray(0, this.used)) };
  }

  /**
   * Sets `key` in `scope`. The first setting wins; false if there was one. `hash` must equal the
   * one that `find` gets.
   */
  set(hash: number, scope: number, key: Uint8Array, value: number): boolean {
    const mixed = finish(hash, scope);
    let place = mixed & this.mask;
    for (; this.entries[place * WORDS + 4] !== 0; place = (place + 1) & this.mask) {
      if (this.isAt(place * WORDS, mixed, scope, key, 0, key.length)) return false;
    }
    this.entries.set([mixed, scope, this.keep(key), key.length, value + 1], place * WORDS);
    return true;
  }

  /** The value of the `length` bytes at `start` in `scope`, or -1. */
  find(hash: number, scope: number, bytes: Uint8Array, start: number, length: number): number {
    const mixed = finish(hash, scope);
    const entries = this.entries;
    for (let place = mixed & this.mask; ; place = (place + 1) & this.mask) {
      const entry = place * WORDS;
      const value = entries[entry + 4]!;
      if (value === 0) return -1;
      if (this.isAt(entry, mixed, scope, bytes, start, length)) return value - 1;
    }
  }

  private isAt(entry: number, mixed: number, scope: number, bytes: Uint8Array, start: number, length: number): boolean {
    const entries = this.entries;
    if (entries[entry] !== mixed || entries[entry + 1] !== scope || entries[entry + 3] !== length) return false;
    const keys = this.keys;
    const key = entries[entry + 2]!;
    for (let i = 0; i < length; i++) {
      if (keys[key + i] !== bytes[start + i]) return false;
    }
    return true;
  }

  private keep(key: Uint8Array): number {
    const place = this.used;
    if (place + key.length > this.keys.length) {
      const larger = new Uint8Array(Math.max(this.keys.length * 2, place + key.length));
      larger.set(this.keys);
      this.keys = larger;
    }
    this.keys.set(key, place);
    this.used += key.length;
    return place;
  }
}
