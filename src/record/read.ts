/**
 * Records towards the lane, read in place. One reader of each kind lives as long as the lane and is
 * pointed at record after record: values become fields, text stays where it is and is known by its
 * place, and a string is made only when somebody asks for one.
 */

import {
  ATTEMPT_FAILED_WORDS,
  COMPLETION_WORDS,
  FAILED_HEDGE,
  FAILED_HELD,
  FAILED_IDEMPOTENT,
  FAILED_OTHER_RUNS,
  FAILED_REPLAYABLE,
  FAILED_UNSENT,
  FAILED_WAITED,
  HEAD_CERTIFICATE,
  HEAD_CERTIFICATE_VERIFIED,
  HEAD_HAS_BODY,
  HEAD_IDEMPOTENT,
  HEAD_LAST_HOP,
  HEAD_LENGTH_KNOWN,
  HEAD_UNDERSCORE,
  HEAD_WAITED,
  HEAD_WORDS,
} from './layout.ts';
import { AttemptFailedWords, CompletionWords, HeadWords, LateWords } from './words.ts';

/**
 * A request head. Byte places are counted in the shard's memory; all are invalid after the next
 * `read`.
 */
export class HeadReader extends HeadWords {
  /** Another one for each head that was read: what was found out about a head is known by it. */
  serial = 0;
  /**
   * The certificate is lines, of which the first character tells what each is; empty where no rule
   * asks.
   */
  certificateByte = 0;
  requestIdByte = 0;
  methodByte = 0;
  schemeByte = 0;
  authorityByte = 0;
  /** Path with query. */
  pathByte = 0;

  override read(at: number): void {
    super.read(at);
    this.serial += 1;
    this.certificateByte = (at + HEAD_WORDS + this.fieldCount) << 2;
    this.requestIdByte = this.certificateByte + this.certificateLength;
    this.methodByte = this.requestIdByte + this.requestIdLength;
    this.schemeByte = this.methodByte + this.methodLength;
    this.authorityByte = this.schemeByte + this.schemeLength;
    this.pathByte = this.authorityByte + this.authorityLength;
  }

  get hasBody(): boolean {
    return (this.flags & HEAD_HAS_BODY) !== 0;
  }

  get isLengthKnown(): boolean {
    return (this.flags & HEAD_LENGTH_KNOWN) !== 0;
  }

  get isIdempotent(): boolean {
    return (this.flags & HEAD_IDEMPOTENT) !== 0;
  }

  /** Offered again after a Wait. */
  get hasWaited(): boolean {
    return (this.flags & HEAD_WAITED) !== 0;
  }

  /** Some field's name has an underscore. */
  get hasUnderscore(): boolean {
    return (this.flags & HEAD_UNDERSCORE) !== 0;
  }

  /** The client has shown a certificate, verified or not. */
  get hasCertificate(): boolean {
    return (this.flags & HEAD_CERTIFICATE) !== 0;
  }

  get isCertificateVerified(): boolean {
    return (this.flags & HEAD_CERTIFICATE_VERIFIED) !== 0;
  }

  /** OPTIONS or TRACE whose Max-Forwards is 0: nobody may forward it. */
  get isLastHop(): boolean {
    return (this.flags & HEAD_LAST_HOP) !== 0;
  }

  /** Byte place of the first field's name; names and values follow each other. */
  get fieldsByte(): number {
    return this.pathByte + this.pathLength;
  }

  /**
   * The memory by words, and where in it the lengths of the first field are, for who goes through
   * all.
   */
  get words(): Uint32Array {
    return this.memory.words;
  }

  get lengthsWord(): number {
    return this.at + HEAD_WORDS;
  }

  /** Lengths of field `number`: of its name in the low 16 bits, of its value in the high 16. */
  fieldLengths(number: number): number {
    return this.memory.words[this.at + HEAD_WORDS + number]!;
  }

  /** The peer's address as text, IPv6 as RFC 5952 writes it. */
  peerAddress(): string {
    return addressText(this.memory.bytes, this.peerAddressByte, this.peerFamily);
  }

  requestId(): string {
    return this.slice(this.requestIdByte, this.requestIdLength);
  }

  method(): string {
    return this.slice(this.methodByte, this.methodLength);
  }

  scheme(): string {
    return this.slice(this.schemeByte, this.schemeLength);
  }

  authority(): string {
    return this.slice(this.authorityByte, this.authorityLength);
  }

  path(): string {
    return this.slice(this.pathByte, this.pathLength);
  }

  /**
   * Value of the first field called `name` (lower case), or undefined. Walks the fields: for rules
   * that need one, not for every head.
   */
  field(name: string): string | undefined {
    const memory = this.memory;
    let byte = this.pathByte + this.pathLength;
    for (let i = 0; i < this.fieldCount; i++) {
      const lengths = memory.words[this.at + HEAD_WORDS + i]!;
      const nameLength = lengths & 0xffff;
      const valueLength = lengths >>> 16;
      if (nameLength === name.length && memory.latin1(byte, byte + nameLength) === name) {
        return memory.latin1(byte + nameLength, byte + nameLength + valueLength);
      }
      byte += nameLength + valueLength;
    }
    return undefined;
  }

  /** Every field in order. */
  fields(): [name: string, value: string][] {
    const found: [string, string][] = [];
    let byte = this.pathByte + this.pathLength;
    for (let i = 0; i < this.fieldCount; i++) {
      const lengths = this.memory.words[this.at + HEAD_WORDS + i]!;
      const value = byte + (lengths & 0xffff);
      const end = value + (lengths >>> 16);
      found.push([this.memory.latin1(byte, value), this.memory.latin1(value, end)]);
      byte = end;
    }
    return found;
  }

  private slice(byte: number, length: number): string {
    return this.memory.latin1(byte, byte + length);
  }
}

/** An attempt that ended before anything was committed to the client. */
export class AttemptFailedReader extends AttemptFailedWords {
  /** Another attempt goes on: the record is for learning, nothing is to be decided. */
  get isOtherRunning(): boolean {
    return (this.flags & FAILED_OTHER_RUNS) !== 0;
  }

  /** Offered again after a Wait: what it says was learned before. */
  get hasWaited(): boolean {
    return (this.flags & FAILED_WAITED) !== 0;
  }

  /** The backend's response is held and may be passed on. */
  get isHeld(): boolean {
    return (this.flags & FAILED_HELD) !== 0;
  }

  get isHedge(): boolean {
    return (this.flags & FAILED_HEDGE) !== 0;
  }

  get isUnsent(): boolean {
    return (this.flags & FAILED_UNSENT) !== 0;
  }

  get isIdempotent(): boolean {
    return (this.flags & FAILED_IDEMPOTENT) !== 0;
  }

  get isReplayable(): boolean {
    return (this.flags & FAILED_REPLAYABLE) !== 0;
  }

  /** Empty when the reactor did not send it along. */
  requestId(): string {
    const start = (this.at + ATTEMPT_FAILED_WORDS) << 2;
    return this.memory.latin1(start, start + this.requestIdLength);
  }
}

/** The hedge delay passed and no response head is here; the exchange goes on. */
export class LateReader extends LateWords {}

/** The end of an exchange. Times are microseconds. */
export class CompletionReader extends CompletionWords {
  peerAddress(): string {
    return addressText(this.memory.bytes, this.peerAddressByte, this.peerFamily);
  }

  /** All text of the record in one string; the lengths of its parts cut it. */
  text(): string {
    const start = (this.at + COMPLETION_WORDS) << 2;
    const length = this.requestIdLength + this.methodLength + this.authorityLength + this.pathLength + this.userAgentLength;
    return this.memory.latin1(start, start + length + this.certificateLength);
  }
}

/** Text of 4 or 16 address bytes. IPv6 in the canonical form of RFC 5952. */
export function addressText(bytes: Uint8Array, start: number, family: number): string {
  if (family === 4) return `${bytes[start]!}.${bytes[start + 1]!}.${bytes[start + 2]!}.${bytes[start + 3]!}`;
  const run = longestZeroRun(bytes, start);
  let text = '';
  for (let group = 0; group < 8; group++) {
    if (group === run.start) {
      text += '::';
      group += run.length - 1;
      continue;
    }
    if (group > 0 && !text.endsWith(':')) text += ':';
    text += ((bytes[start + group * 2]! << 8) | bytes[start + group * 2 + 1]!).toString(16);
  }
  return text;
}

/** The first longest run of at least two zero groups, which RFC 5952 §4.2 shortens. */
function longestZeroRun(bytes: Uint8Array, start: number): { start: number; length: number } {
  let best = { start: -1, length: 1 };
  let length = 0;
  for (let group = 0; group < 8; group++) {
    const isZero = bytes[start + group * 2] === 0 && bytes[start + group * 2 + 1] === 0;
    length = isZero ? length + 1 : 0;
    if (length > best.length) best = { start: group - length + 1, length };
  }
  return best;
}
