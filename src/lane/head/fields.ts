/**
 * Values in a head, found where they lie: of a field, a cookie or a query parameter by its name. A walk goes from one value of the name to the next without making a
 * string; whoever wants one makes it of the place the walk stands at. Only what is percent-encoded is copied, because it must be decoded to be compared.
 */

import type { HeadReader } from '../../record/read.ts';
import { hexDigit } from './address.ts';

/** The values of one name in a head, in order. Lives as long as the lane and is begun anew for each head. */
export interface Walk {
  /** Where the value stands that `next` found; true until the next call of any walk. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly length: number;
  begin(head: HeadReader): void;
  /** Goes to the next value of the same head; false when there is none. */
  next(head: HeadReader): boolean;
}

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const AMPERSAND = 0x26;
const QUESTION = 0x3f;
const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;
const TAB = 0x09;

/** The lines of a header field. */
export class FieldWalk implements Walk {
  readonly bytes: Uint8Array;
  start = 0;
  length = 0;
  private readonly name: Uint8Array;
  private number = 0;
  private byte = 0;

  /** `name` in lower case, as fields come over HTTP/3 (RFC 9114 §4.2); `bytes` is the shard's memory. */
  constructor(name: string, bytes: Uint8Array) {
    this.name = Buffer.from(name, 'latin1');
    this.bytes = bytes;
  }

  begin(head: HeadReader): void {
    this.number = 0;
    this.byte = head.fieldsByte;
  }

  next(head: HeadReader): boolean {
    const { bytes, name } = this;
    const count = head.fieldCount;
    let byte = this.byte;
    for (let number = this.number; number < count; number++) {
      const lengths = head.fieldLengths(number);
      const nameLength = lengths & 0xffff;
      const value = byte + nameLength;
      const valueLength = lengths >>> 16;
      if (nameLength === name.length && isAt(bytes, byte, name)) {
        this.number = number + 1;
        this.byte = value + valueLength;
        this.start = value;
        this.length = valueLength;
        return true;
      }
      byte = value + valueLength;
    }
    this.number = count;
    return false;
  }
}

/** The values of a cookie: `a=b; c=d`, in one field or several (RFC 6265 §5.4, RFC 9114 §4.2.1). Quotes belong to the value. */
export class CookieWalk implements Walk {
  readonly bytes: Uint8Array;
  start = 0;
  length = 0;
  private readonly name: Uint8Array;
  private readonly lines: FieldWalk;
  private at = 0;
  private end = 0;

  constructor(name: string, bytes: Uint8Array) {
    this.name = Buffer.from(name, 'latin1');
    this.bytes = bytes;
    this.lines = new FieldWalk('cookie', bytes);
  }

  begin(head: HeadReader): void {
    this.lines.begin(head);
    this.at = 0;
    this.end = 0;
  }

  next(head: HeadReader): boolean {
    const { bytes, name, lines } = this;
    for (;;) {
      while (this.at < this.end) {
        let from = this.at;
        while (from < this.end && (bytes[from] === SPACE || bytes[from] === TAB)) from += 1;
        let to = from;
        while (to < this.end && bytes[to] !== SEMICOLON) to += 1;
        this.at = to + 1;
        const value = from + name.length + 1;
        if (value > to || bytes[value - 1] !== EQUALS || !isAt(bytes, from, name)) continue;
        while (to > value && (bytes[to - 1] === SPACE || bytes[to - 1] === TAB)) to -= 1;
        this.start = value;
        this.length = to - value;
        return true;
      }
      if (!lines.next(head)) return false;
      this.at = lines.start;
      this.end = lines.start + lines.length;
    }
  }
}

/** Decoded text of one parameter. A path is never longer than a record can say. */
const DECODED = new Uint8Array(65_536);

/** The values of a query parameter, decoded: `%41` is `A`, `+` is a space. One without `=` has the empty value. */
export class QueryWalk implements Walk {
  bytes: Uint8Array;
  start = 0;
  length = 0;
  private readonly memory: Uint8Array;
  private readonly name: Uint8Array;
  private at = 0;

  /** `name` as it stands in the query; a parameter whose name reads so when it is decoded is meant as well. */
  constructor(name: string, bytes: Uint8Array) {
    this.name = Buffer.from(name, 'latin1');
    this.memory = bytes;
    this.bytes = bytes;
  }

  begin(head: HeadReader): void {
    const memory = this.memory;
    const end = head.pathByte + head.pathLength;
    let at = head.pathByte;
    while (at < end && memory[at] !== QUESTION) at += 1;
    this.at = at + 1;
  }

  next(head: HeadReader): boolean {
    const memory = this.memory;
    const end = head.pathByte + head.pathLength;
    while (this.at < end) {
      const from = this.at;
      let equals = -1;
      let to = from;
      let isNameEncoded = false;
      let isValueEncoded = false;
      for (; to < end; to++) {
        const byte = memory[to]!;
        if (byte === AMPERSAND) break;
        if (byte === EQUALS && equals === -1) equals = to;
        else if (byte === PERCENT || byte === PLUS) {
          if (equals === -1) isNameEncoded = true;
          else isValueEncoded = true;
        }
      }
      this.at = to + 1;
      const nameEnd = equals === -1 ? to : equals;
      if (!this.isName(from, nameEnd, isNameEncoded)) continue;
      const value = equals === -1 ? to : equals + 1;
      if (isValueEncoded) {
        this.bytes = DECODED;
        this.start = 0;
        this.length = decode(memory, value, to);
      } else {
        this.bytes = memory;
        this.start = value;
        this.length = to - value;
      }
      return true;
    }
    return false;
  }

  private isName(from: number, to: number, isEncoded: boolean): boolean {
    const { memory, name } = this;
    if (to - from === name.length && isAt(memory, from, name)) return true;
    return isEncoded && decode(memory, from, to) === name.length && isAt(DECODED, 0, name);
  }
}

/** Decodes into DECODED and gives the length; a `%` that begins no escape stands for itself. */
function decode(bytes: Uint8Array, from: number, to: number): number {
  let length = 0;
  for (let i = from; i < to; i++) {
    let byte = bytes[i]!;
    if (byte === PLUS) byte = SPACE;
    else if (byte === PERCENT && i + 2 < to) {
      const high = hexDigit(bytes[i + 1]!);
      const low = hexDigit(bytes[i + 2]!);
      if (high !== -1 && low !== -1) {
        byte = (high << 4) | low;
        i += 2;
      }
    }
    DECODED[length++] = byte;
  }
  return length;
}

/** Does `text` stand at `at`? Nobody else's bytes are read: the caller knows that there are as many. */
export function isAt(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = text.length - 1; i >= 0; i--) {
    if (bytes[at + i] !== text[i]) return false;
  }
  return true;
}

/** The bytes as Latin-1 text. */
export function latin1(bytes: Uint8Array, start: number, length: number): string {
  return Buffer.prototype.latin1Slice.call(bytes, start, start + length);
}
