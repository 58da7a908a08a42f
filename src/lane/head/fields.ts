/**
 * Finds values in a head in place: of a field, a cookie or a query parameter, by name. A walk goes
 * from one value of the name to the next without making a string; callers that want one make it
 * from the walk's position. Only percent-encoded values are copied, as they must be decoded to be
 * compared. Walks come from `./lookups.ts`, one per name and snapshot, so that what one user found
 * in a head is not searched again.
 */

import type { HeadReader } from '../../record/read.ts';
import { hexDigit } from './address.ts';

/**
 * The values of one name in a head, in order. Lives as long as the lane and is restarted for each
 * head.
 */
export interface Walk {
  /** Position of the value that `next` found; valid until the next call of any walk. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly length: number;
  begin(head: HeadReader): void;
  /** Moves to the next value of the same head; false if there is none. */
  next(head: HeadReader): boolean;
}

const SEMICOLON = 0x3b;
const SEMICOLONS = 0x3b3b_3b3b;
const EQUALS = 0x3d;
const AMPERSAND = 0x26;
const QUESTION = 0x3f;
const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;
const TAB = 0x09;

/** The field is absent. */
const NO_FIELD = -1;
/**
 * Number of hints. Few field names are looked up; length and ends tell most others apart from them.
 */
const HINTS = 256;

/**
 * Positions in a head of the fields that are looked up: all are found in one pass, when the first
 * is asked for.
 */
export class FieldIndex {
  readonly bytes: Uint8Array;
  /**
   * By name, for the head indexed last: number of its first and last line, NO_FIELD if absent, and
   * where the first value begins.
   */
  readonly firsts: number[] = [];
  readonly lasts: number[] = [];
  readonly starts: number[] = [];
  private readonly names: Uint8Array[] = [];
  private readonly numbers = new Map<string, number>();
  /**
   * By hint: the first name with it + 1, 0 for none; and by name, the next one with the same hint.
   */
  private readonly hinted = new Uint16Array(HINTS);
  private readonly others: number[] = [];
  private serial = -1;

  /** `bytes` is the shard's memory. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The number of a name, which is indexed from now on. */
  numberOf(name: string): number {
    const known = this.numbers.get(name);
    if (known !== undefined) return known;
    const text = Buffer.from(name, 'latin1');
    const number = this.names.push(text) - 1;
    this.numbers.set(name, number);
    const hint = hintOf(text, 0, text.length);
    this.others.push(this.hinted[hint]!);
    this.hinted[hint] = number + 1;
    this.firsts.push(NO_FIELD);
    this.lasts.push(NO_FIELD);
    this.starts.push(0);
    this.serial = -1;
    return number;
  }

  /** Indexes the fields of `head`, unless it was the last one indexed. */
  look(head: HeadReader): void {
    if (this.serial !== head.serial) this.lookAt(head);
  }

  private lookAt(head: HeadReader): void {
    const { bytes, firsts, hinted } = this;
    this.serial = head.serial;
    for (let name = 0; name < firsts.length; name++) firsts[name] = NO_FIELD;
    const { words, lengthsWord, fieldCount } = head;
    let byte = head.fieldsByte;
    for (let number = 0; number < fieldCount; number++) {
      const lengths = words[lengthsWord + number]!;
      const nameLength = lengths & 0xffff;
      const name = hinted[hintOf(bytes, byte, nameLength)]!;
      if (name !== 0) this.note(name, number, byte, nameLength);
      byte += nameLength + (lengths >>> 16);
    }
  }

  /**
   * Line `number`, whose name at `byte` has the hint of name `hinted` - 1: it is that name, another
   * one of the hint, or none.
   */
  private note(hinted: number, number: number, byte: number, length: number): void {
    for (let other = hinted; other !== 0; other = this.others[other - 1]!) {
      const name = other - 1;
      const text = this.names[name]!;
      if (text.length !== length || !isAt(this.bytes, byte, text)) continue;
      if (this.firsts[name] === NO_FIELD) {
        this.firsts[name] = number;
        this.starts[name] = byte + length;
      }
      this.lasts[name] = number;
      return;
    }
  }
}

/** A hint of a name from its length and ends. No name is empty (RFC 9110 §5.1). */
function hintOf(bytes: Uint8Array, start: number, length: number): number {
  return (Math.imul(length, 37) + Math.imul(bytes[start]!, 11) + Math.imul(bytes[start + length - 1]!, 5)) & (HINTS - 1);
}

/** The lines of a header field. */
export class FieldWalk implements Walk {
  readonly bytes: Uint8Array;
  start = 0;
  length = 0;
  /** Number of the current line, NO_FIELD before the first. */
  number = NO_FIELD;
  private readonly text: Uint8Array;
  private readonly index: FieldIndex;
  private readonly name: number;

  /** `name` is lower case, as fields are in HTTP/3 (RFC 9114 §4.2). */
  constructor(name: string, index: FieldIndex) {
    this.text = Buffer.from(name, 'latin1');
    this.bytes = index.bytes;
    this.index = index;
    this.name = index.numberOf(name);
  }

  begin(head: HeadReader): void {
    this.index.look(head);
    this.number = NO_FIELD;
  }

  next(head: HeadReader): boolean {
    const { index, name, number } = this;
    const first = index.firsts[name]!;
    if (first === NO_FIELD || number === index.lasts[name]) return false;
    if (number !== NO_FIELD) return this.nextAfter(head, number);
    this.number = first;
    this.start = index.starts[name]!;
    this.length = head.fieldLengths(first) >>> 16;
    return true;
  }

  /** Returns to an earlier line of the same head. */
  returnTo(number: number, start: number, length: number): void {
    this.number = number;
    this.start = start;
    this.length = length;
  }

  private nextAfter(head: HeadReader, before: number): boolean {
    const { bytes, text } = this;
    const count = head.fieldCount;
    let byte = this.start + this.length;
    for (let number = before + 1; number < count; number++) {
      const lengths = head.fieldLengths(number);
      const nameLength = lengths & 0xffff;
      const value = byte + nameLength;
      const valueLength = lengths >>> 16;
      if (nameLength === text.length && isAt(bytes, byte, text)) {
        this.returnTo(number, value, valueLength);
        return true;
      }
      byte = value + valueLength;
    }
    return false;
  }
}

/**
 * The values of a cookie: `a=b; c=d`, in one or several fields (RFC 6265 §5.4, RFC 9114 §4.2.1).
 * Quotes belong to the value.
 */
export class CookieWalk implements Walk {
  readonly bytes: Uint8Array;
  start = 0;
  length = 0;
  private readonly words: Int32Array;
  private readonly name: Uint8Array;
  private readonly lines: FieldWalk;
  private at = 0;
  private end = 0;
  /**
   * The first value in the head of `serial`, and the position of its line. Most callers only want
   * the first, and there are several of them.
   */
  private serial = -1;
  private isThere = false;
  private isFirst = false;
  private firstStart = 0;
  private firstLength = 0;
  private firstAt = 0;
  private lineNumber = 0;
  private lineStart = 0;
  private lineLength = 0;

  constructor(name: string, index: FieldIndex) {
    this.name = Buffer.from(name, 'latin1');
    this.bytes = index.bytes;
    this.words = new Int32Array(index.bytes.buffer, index.bytes.byteOffset, index.bytes.length >> 2);
    this.lines = new FieldWalk('cookie', index);
  }

  begin(head: HeadReader): void {
    if (this.serial !== head.serial) this.findFirst(head);
    this.isFirst = true;
  }

  next(head: HeadReader): boolean {
    if (!this.isFirst) return this.isThere && this.find(head);
    this.isFirst = false;
    if (!this.isThere) return false;
    this.start = this.firstStart;
    this.length = this.firstLength;
    this.at = this.firstAt;
    this.end = this.lineStart + this.lineLength;
    this.lines.returnTo(this.lineNumber, this.lineStart, this.lineLength);
    return true;
  }

  private findFirst(head: HeadReader): void {
    const { lines } = this;
    this.serial = head.serial;
    lines.begin(head);
    this.at = 0;
    this.end = 0;
    this.isThere = this.find(head);
    this.firstStart = this.start;
    this.firstLength = this.length;
    this.firstAt = this.at;
    this.lineNumber = lines.number;
    this.lineStart = lines.start;
    this.lineLength = lines.length;
  }

  private find(head: HeadReader): boolean {
    const { bytes, words, name, lines } = this;
    for (;;) {
      while (this.at < this.end) {
        let from = this.at;
        while (from < this.end && (bytes[from] === SPACE || bytes[from] === TAB)) from += 1;
        let to = pairEnd(bytes, words, from, this.end);
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

/**
 * Index of the first semicolon from `from` on, `end` if there is none. Scans four bytes at a time,
 * as a browser's cookies have hundreds of bytes.
 */
function pairEnd(bytes: Uint8Array, words: Int32Array, from: number, end: number): number {
  let at = from;
  for (; (at & 3) !== 0 && at < end; at++) if (bytes[at] === SEMICOLON) return at;
  for (; at + 4 <= end; at += 4) {
    // Mycroft's test for a zero byte in a word, after semicolons were turned into zeros.
    const word = words[at >>> 2]! ^ SEMICOLONS;
    if (((word - 0x0101_0101) & ~word & 0x8080_8080) !== 0) break;
  }
  for (; at < end; at++) if (bytes[at] === SEMICOLON) return at;
  return end;
}

/** Decoded text of one parameter. A record cannot hold a longer path. */
const DECODED = new Uint8Array(65_536);

/**
 * The values of a query parameter, decoded: `%41` is `A`, `+` is a space. Without `=` the value is
 * empty.
 */
export class QueryWalk implements Walk {
  bytes: Uint8Array;
  start = 0;
  length = 0;
  private readonly memory: Uint8Array;
  private readonly name: Uint8Array;
  private at = 0;

  /** `name` as it is in the query; encoded spellings of it match as well. */
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

/** Decodes into DECODED and returns the length. A `%` that begins no escape stands for itself. */
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

/** Whether `text` is at `at`. The caller ensures that there are enough bytes. */
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
