/**
 * Sets of networks, looked up by address bytes in memory. CIDR blocks become sorted, disjoint
 * ranges, and a look-up is a binary search: sixteen comparisons for fifty thousand blocks. Blocks
 * may have values; the longest prefix that contains the address wins.
 */

import { parseAddress } from './address.ts';

interface Range {
  readonly first: bigint;
  readonly last: bigint;
  readonly value: number;
}

/** The address is in none of the blocks. */
export const NOWHERE = -1;

export class Networks {
  /** First and last address of each range. */
  private readonly firsts4: Uint32Array;
  private readonly lasts4: Uint32Array;
  private readonly values4: Uint8Array;
  /** The same with four words per address. */
  private readonly firsts6: Uint32Array;
  private readonly lasts6: Uint32Array;
  private readonly values6: Uint8Array;

  /**
   * `blocks` are addresses or CIDR blocks; throws a RangeError for anything else. `values` belong
   * to them, at most 255 each, 0 if omitted.
   */
  constructor(blocks: readonly string[], values: readonly number[] = []) {
    const ranges4: Range[] = [];
    const ranges6: Range[] = [];
    for (const [place, block] of blocks.entries()) addBlock(block, values[place] ?? 0, ranges4, ranges6);
    const merged4 = merge(ranges4);
    const merged6 = merge(ranges6);
    this.values4 = Uint8Array.from(merged4, ({ value }) => value);
    this.values6 = Uint8Array.from(merged6, ({ value }) => value);
    this.firsts4 = Uint32Array.from(merged4, ({ first }) => Number(first));
    this.lasts4 = Uint32Array.from(merged4, ({ last }) => Number(last));
    this.firsts6 = Uint32Array.from(merged6.flatMap(({ first }) => wordsOf(first)));
    this.lasts6 = Uint32Array.from(merged6.flatMap(({ last }) => wordsOf(last)));
  }

  /** Whether the set holds no address. */
  get isEmpty(): boolean {
    return this.firsts4.length === 0 && this.firsts6.length === 0;
  }

  /**
   * Whether the address (the first 4 or 16 bytes of `address`, by `family`) is in one of the
   * blocks.
   */
  has(family: number, address: Uint8Array): boolean {
    return this.find(family, address) !== NOWHERE;
  }

  /** The value of the block with the longest prefix that contains the address, or NOWHERE. */
  find(family: number, address: Uint8Array): number {
    return family === 4 ? this.find4(word(address, 0)) : this.find6(address);
  }

  private find4(address: number): number {
    const firsts = this.firsts4;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (firsts[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    return low > 0 && address <= this.lasts4[low - 1]! ? this.values4[low - 1]! : NOWHERE;
  }

  private find6(address: Uint8Array): number {
    let low = 0;
    let high = this.firsts6.length >>> 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(this.firsts6, middle << 2, address) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && compare(this.lasts6, (low - 1) << 2, address) >= 0 ? this.values6[low - 1]! : NOWHERE;
  }
}

/** Compares the four words at `at` with the address; the sign is as in a sort function. */
function compare(words: Uint32Array, at: number, address: Uint8Array): number {
  for (let i = 0; i < 4; i++) {
    const difference = words[at + i]! - word(address, i * 4);
    if (difference !== 0) return difference;
  }
  return 0;
}

function word(address: Uint8Array, at: number): number {
  return ((address[at]! << 24) | (address[at + 1]! << 16) | (address[at + 2]! << 8) | address[at + 3]!) >>> 0;
}

function addBlock(block: string, given: number, ranges4: Range[], ranges6: Range[]): void {
  const [text = '', prefix] = block.split('/', 2);
  const bytes = Buffer.from(text, 'latin1');
  const address = new Uint8Array(16);
  const family = parseAddress(bytes, 0, bytes.length, address);
  const isMapped = family === 4 && text.includes(':');
  const size = family === 4 ? 32 : 128;
  const bits = prefix === undefined ? size : Number(prefix) - (isMapped ? 96 : 0);
  if (family === 0 || !Number.isInteger(bits) || bits < 0 || bits > size || prefix === '') throw new RangeError(`${block} is no network`);
  const value = address.subarray(0, size / 8).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const rest = (1n << BigInt(size - bits)) - 1n;
  (family === 4 ? ranges4 : ranges6).push({ first: value & ~rest, last: value | rest, value: given });
}

/**
 * Sorts ranges, resolves nesting, and joins adjacent ones with the same value. Blocks overlap only
 * by nesting.
 */
function merge(ranges: Range[]): Range[] {
  const merged: Range[] = [];
  const add = (first: bigint, last: bigint, value: number): void => {
    const before = merged.at(-1);
    if (first > last) return;
    if (before !== undefined && before.value === value && before.last + 1n === first)
      merged[merged.length - 1] = { first: before.first, last, value };
    else merged.push({ first, last, value });
  };
  // Blocks that contain the sweep's position, the widest first, and the first address not yet
  // covered.
  const open: Range[] = [];
  let from = 0n;
  const closeBefore = (address: bigint | undefined): void => {
    for (let inner = open.at(-1); inner !== undefined && (address === undefined || inner.last < address); inner = open.at(-1)) {
      add(from, inner.last, inner.value);
      if (inner.last >= from) from = inner.last + 1n;
      open.pop();
    }
  };
  for (const range of ranges.sort((a, b) => order(a.first, b.first) || order(b.last, a.last))) {
    closeBefore(range.first);
    const outer = open.at(-1);
    if (outer !== undefined) add(from, range.first - 1n, outer.value);
    from = range.first;
    open.push(range);
  }
  closeBefore(undefined);
  return merged;
}

function order(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function wordsOf(address: bigint): number[] {
  return [96n, 64n, 32n, 0n].map((shift) => Number((address >> shift) & 0xffff_ffffn));
}
