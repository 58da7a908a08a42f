/**
 * The addresses that proxies wrote into a head, from the last to the first: the `for=` parameters
 * of `Forwarded` (RFC 7239 §4), or a list like `X-Forwarded-For`, in the configured field. No other
 * field is read: proxies that do not write it pass on what strangers put there. Addresses may have
 * a port, and in `Forwarded` quotes. Does not allocate, as a flood through a trusted proxy comes
 * through here.
 */

import type { HeadReader } from '../../record/read.ts';
import { parseAddress } from './address.ts';
import type { FieldWalk } from './fields.ts';
import type { Walks } from './walks.ts';

/**
 * Trusted proxies do not write more or longer lines or more entries: the list then counts as
 * unreadable.
 */
const MAX_LINES = 16;
const MAX_LINE_BYTES = 4_096;
const MAX_ENTRIES = 32;

const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN = 0x5b;
const CLOSE = 0x5d;

export class ForwardedAddresses {
  /** Family of the entry found by `previous`: 4 or 6, or 0 if unreadable. */
  family = 0;
  readonly address = new Uint8Array(16);

  private readonly bytes: Uint8Array;
  private readonly walk: FieldWalk;
  private readonly isStandard: boolean;
  /** Start and end of the lines still to be read. */
  private readonly starts = new Int32Array(MAX_LINES);
  private readonly ends = new Int32Array(MAX_LINES);
  private lines = 0;
  private entries = 0;

  constructor(lookups: Walks, field: string) {
    this.bytes = lookups.bytes;
    this.walk = lookups.field(field);
    this.isStandard = field === 'forwarded';
  }

  /** Finds the lines of `head`. */
  begin(head: HeadReader): void {
    this.collect(head, this.walk);
  }

  /** Moves to the entry before the last one read; false if there is none. */
  previous(): boolean {
    while (this.lines > 0) {
      this.entries += 1;
      if (this.entries > MAX_ENTRIES) {
        this.lines = 0;
        this.family = 0;
        return true;
      }
      const line = this.lines - 1;
      const start = this.starts[line]!;
      const end = this.ends[line]!;
      const comma = this.isStandard ? lastUnquoted(this.bytes, start, end) : lastComma(this.bytes, start, end);
      this.ends[line] = Math.max(start, comma);
      if (comma < start) this.lines -= 1;
      const from = skipBlanks(this.bytes, comma + 1, end);
      const to = dropBlanks(this.bytes, from, end);
      // Empty list members are ignored (RFC 9110 §5.6.1).
      if (from === to) continue;
      this.family = this.isStandard ? this.readElement(from, to) : this.readNode(from, to);
      return true;
    }
    return false;
  }

  private collect(head: HeadReader, walk: FieldWalk): void {
    this.lines = 0;
    this.entries = 0;
    walk.begin(head);
    while (walk.next(head)) {
      if (this.lines === MAX_LINES || walk.length > MAX_LINE_BYTES) {
        this.lines = 1;
        this.entries = MAX_ENTRIES;
        return;
      }
      this.starts[this.lines] = walk.start;
      this.ends[this.lines] = walk.start + walk.length;
      this.lines += 1;
    }
  }

  /** `for=…` among the parameters of one element; 0 if there is none. */
  private readElement(from: number, to: number): number {
    const { bytes } = this;
    for (let at = from; at < to; ) {
      const end = endOfPair(bytes, at, to);
      const name = skipBlanks(bytes, at, end);
      if (isFor(bytes, name, end)) {
        let first = name + 4;
        let last = dropBlanks(bytes, first, end);
        if (last - first >= 2 && bytes[first] === QUOTE && bytes[last - 1] === QUOTE) {
          first += 1;
          last -= 1;
        }
        return this.readNode(first, last);
      }
      at = end + 1;
    }
    return 0;
  }

  /** `a.b.c.d`, `a.b.c.d:port`, `v6` or `[v6]:port`. */
  private readNode(from: number, to: number): number {
    const { bytes, address } = this;
    if (bytes[from] === OPEN) {
      let close = from + 1;
      while (close < to && bytes[close] !== CLOSE) close += 1;
      if (close === to || (close + 1 < to && !isPort(bytes, close + 1, to))) return 0;
      return parseAddress(bytes, from + 1, close, address);
    }
    let colon = from;
    while (colon < to && bytes[colon] !== COLON) colon += 1;
    // One colon ends an IPv4 address; an IPv6 address has at least two.
    if (colon < to && isPort(bytes, colon, to)) return parseAddress(bytes, from, colon, address);
    return parseAddress(bytes, from, to, address);
  }
}

/** `:` and up to five digits. */
function isPort(bytes: Uint8Array, from: number, to: number): boolean {
  if (bytes[from] !== COLON || to - from < 2 || to - from > 6) return false;
  for (let i = from + 1; i < to; i++) if (bytes[i]! < 0x30 || bytes[i]! > 0x39) return false;
  return true;
}

/** `for=` in any case (RFC 7239 §4). */
function isFor(bytes: Uint8Array, at: number, end: number): boolean {
  return (
    at + 4 <= end &&
    (bytes[at]! | 0x20) === 0x66 &&
    (bytes[at + 1]! | 0x20) === 0x6f &&
    (bytes[at + 2]! | 0x20) === 0x72 &&
    bytes[at + 3] === EQUALS
  );
}

/** Index of the last comma, below `start` if there is none. */
function lastComma(bytes: Uint8Array, start: number, end: number): number {
  let at = end - 1;
  while (at >= start && bytes[at] !== COMMA) at -= 1;
  return at;
}

/** Index of the last comma outside of quotes, which only a scan from the front can tell. */
function lastUnquoted(bytes: Uint8Array, start: number, end: number): number {
  let found = start - 1;
  let isQuoted = false;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) isQuoted = !isQuoted;
    else if (byte === BACKSLASH && isQuoted) i += 1;
    else if (byte === COMMA && !isQuoted) found = i;
  }
  return found;
}

function endOfPair(bytes: Uint8Array, from: number, to: number): number {
  let isQuoted = false;
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) isQuoted = !isQuoted;
    else if (byte === BACKSLASH && isQuoted) i += 1;
    else if (byte === SEMICOLON && !isQuoted) return i;
  }
  return to;
}

function skipBlanks(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && (bytes[at] === 0x20 || bytes[at] === 0x09)) at += 1;
  return at;
}

function dropBlanks(bytes: Uint8Array, from: number, to: number): number {
  let at = to;
  while (at > from && (bytes[at - 1] === 0x20 || bytes[at - 1] === 0x09)) at -= 1;
  return at;
}
