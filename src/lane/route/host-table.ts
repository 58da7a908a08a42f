/**
 * Maps hosts to numbers. Names and wildcards are in hash tables; one pass over the name from its
 * last byte to its first finds all, however many there are. Scopes keep several sets of hosts apart
 * in one table.
 */

import { inSharedMemory } from '../../base/views.ts';
import { ByteTable, HASH_START, hashByte, type PackedBytes } from './byte-table.ts';

/** One host of a scope. */
export interface HostEntry {
  readonly scope: number;
  /** Lower case, without port; `*.a.test` for a wildcard of one or more labels; `*` for any. */
  readonly host: string;
  readonly value: number;
}

const COLON = 0x3a;
const DOT = 0x2e;
const BRACKET = 0x5d;
/** Names have at most 253 bytes (RFC 1035 §3.1); a longer authority can only match `*`. */
const MAX_HOST_BYTES = 255;
/** Every second byte of a name may be a dot. */
const MAX_CANDIDATES = MAX_HOST_BYTES / 2 + 3;

/** A table that can be posted: its memory is shared. */
export interface PackedHosts {
  readonly names: PackedBytes;
  readonly suffixes: PackedBytes;
  readonly hasSuffixes: boolean;
  readonly any: Int32Array;
  readonly used: Uint8Array;
}

export class HostTable {
  /** Values found by the last `find`, from the least to the most specific host. */
  readonly found = new Int32Array(MAX_CANDIDATES);

  /** Names, and the suffixes behind `*.`; hashed from the last byte to the first. */
  private readonly names: ByteTable;
  private readonly suffixes: ByteTable;
  private readonly hasSuffixes: boolean;
  /** Value of `*`, by scope; -1 if there is none. */
  private readonly any: Int32Array;
  private readonly used: Uint8Array;
  /** The request's host in lower case. */
  private readonly host = new Uint8Array(MAX_HOST_BYTES);

  /** Of duplicate entries the first wins. */
  constructor(entries: readonly HostEntry[] | PackedHosts, scopes: number) {
    if (!isList(entries)) {
      this.names = new ByteTable(entries.names);
      this.suffixes = new ByteTable(entries.suffixes);
      this.hasSuffixes = entries.hasSuffixes;
      this.any = entries.any;
      this.used = entries.used;
      return;
    }
    this.names = new ByteTable(entries.length);
    this.suffixes = new ByteTable(entries.length);
    this.hasSuffixes = entries.some(({ host }) => host.startsWith('*.'));
    this.any = new Int32Array(scopes).fill(-1);
    this.used = new Uint8Array(scopes);
    for (const entry of entries) this.add(entry);
  }

  pack(): PackedHosts {
    const { names, suffixes, hasSuffixes, any, used } = this;
    return { names: names.pack(), suffixes: suffixes.pack(), hasSuffixes, any: inSharedMemory(any), used: inSharedMemory(used) };
  }

  /**
   * Fills `found` with the values of `scope` for the authority at `start`; returns their number.
   */
  find(scope: number, bytes: Uint8Array, start: number, length: number): number {
    const { found, host } = this;
    let count = 0;
    if (this.any[scope]! !== -1) found[count++] = this.any[scope]!;
    const size = hostEnd(bytes, start, length) - start;
    if (size <= 0 || size > MAX_HOST_BYTES) return count;

    let hash = HASH_START;
    for (let i = size - 1; i >= 0; i--) {
      let byte = bytes[start + i]!;
      if (byte >= 0x41 && byte <= 0x5a) byte |= 0x20;
      host[i] = byte;
      // What follows a dot may be the suffix of a wildcard. The scan goes left, so each suffix
      // found is longer than the last.
      if (byte === DOT && i > 0 && this.hasSuffixes) {
        const value = this.suffixes.find(hash, scope, host, i + 1, size - i - 1);
        if (value !== -1) found[count++] = value;
      }
      hash = hashByte(hash, byte);
    }
    const value = this.names.find(hash, scope, host, 0, size);
    if (value !== -1) found[count++] = value;
    return count;
  }

  /** Whether the scope has any host. */
  isUsed(scope: number): boolean {
    return this.used[scope] === 1;
  }

  private add({ scope, host, value }: HostEntry): void {
    this.used[scope] = 1;
    if (host === '*') {
      if (this.any[scope] === -1) this.any[scope] = value;
      return;
    }
    const isWildcard = host.startsWith('*.');
    const name = Buffer.from(isWildcard ? host.slice(2) : host, 'latin1');
    (isWildcard ? this.suffixes : this.names).set(name.reduceRight(hashByte, HASH_START), scope, name, value);
  }
}

function isList(entries: readonly HostEntry[] | PackedHosts): entries is readonly HostEntry[] {
  return Array.isArray(entries);
}

/**
 * End of the host in an authority: before the port, if any, and one trailing dot. `[::1]:443` keeps
 * its brackets.
 */
function hostEnd(bytes: Uint8Array, start: number, length: number): number {
  let end = start + length;
  for (let i = end - 1; i >= start; i--) {
    const byte = bytes[i]!;
    if (byte === COLON) {
      end = i;
      break;
    }
    if (byte < 0x30 || byte > 0x39 || byte === BRACKET) break;
  }
  return end > start && bytes[end - 1] === DOT ? end - 1 : end;
}
