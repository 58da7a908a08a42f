/**
 * Records towards the lane, read in place. One reader of each kind lives as long as the lane and is pointed at record after record: values
 * become fields, text stays where it is and is known by its place, and a string is made only when somebody asks for one.
 */

import {
  ATTEMPT_FAILED_TEXT_WORD,
  COMPLETION_TEXT_WORD,
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
  HEAD_LENGTHS_WORD,
  HEAD_UNDERSCORE,
  HEAD_WAITED,
} from './layout.ts';
import type { RecordMemory } from './ring.ts';

/** A request head. Byte places are counted in the shard's memory; all are invalid after the next `read`. */
export class HeadReader {
  /** Another one for each head that was read: what was found out about a head is known by it. */
  serial = 0;
  exchangeIndex = 0;
  exchangeGeneration = 0;
  listener = 0;
  flags = 0;
  /** -1 when not known. */
  contentLength = -1;
  connection = 0;
  fieldCount = 0;
  /**
   * What the client's certificate says: lines, of which the first character tells what it is. Empty
   * where no rule asks.
   */
  certificateByte = 0;
  certificateLength = 0;
  requestIdByte = 0;
  requestIdLength = 0;
  methodByte = 0;
  methodLength = 0;
  schemeByte = 0;
  schemeLength = 0;
  authorityByte = 0;
  authorityLength = 0;
  /** Path with query. */
  pathByte = 0;
  pathLength = 0;
  /** As given with Wait; NONE and zeros at the first offer. */
  tag = 0;
  memo0 = 0;
  memo1 = 0;
  memo2 = 0;
  /** Microseconds since the head was decoded. */
  ageUs = 0;

  private readonly memory: RecordMemory;
  private at = 0;

  constructor(memory: RecordMemory) {
    this.memory = memory;
  }

  /** Points at the Head whose first word is `at`. */
  read(at: number): void {
    const words = this.memory.words;
    this.at = at;
    this.serial += 1;
    this.exchangeIndex = words[at + 2]!;
    this.exchangeGeneration = words[at + 3]!;
    this.listener = words[at + 4]!;
    this.flags = words[at + 5]!;
    this.connection = this.memory.floats[(at + 12) >>> 1]!;
    this.contentLength = this.memory.floats[(at + 14) >>> 1]!;
    const methodAndScheme = words[at + 16]!;
    const authorityAndPath = words[at + 17]!;
    this.fieldCount = words[at + 18]!;
    this.requestIdLength = words[at + 19]!;
    this.tag = words[at + 20]!;
    this.memo0 = words[at + 21]!;
    this.memo1 = words[at + 22]!;
    this.memo2 = words[at + 23]!;
    this.ageUs = words[at + 24]!;
    this.methodLength = methodAndScheme & 0xffff;
    this.schemeLength = methodAndScheme >>> 16;
    this.authorityLength = authorityAndPath & 0xffff;
    this.pathLength = authorityAndPath >>> 16;
    this.certificateLength = words[at + 25]!;
    this.certificateByte = (at + HEAD_LENGTHS_WORD + this.fieldCount) << 2;
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

  /** Byte place of the peer's address: 4 or 16 bytes in network order. */
  get peerByte(): number {
    return (this.at + 7) << 2;
  }

  /** Byte place of the first field's name; names and values follow each other. */
  get fieldsByte(): number {
    return this.pathByte + this.pathLength;
  }

  /** The memory by words, and where in it the lengths of the first field are, for who goes through all. */
  get words(): Uint32Array {
    return this.memory.words;
  }

  get lengthsWord(): number {
    return this.at + HEAD_LENGTHS_WORD;
  }

  /** Lengths of field `number`: of its name in the low 16 bits, of its value in the high 16. */
  fieldLengths(number: number): number {
    return this.memory.words[this.at + HEAD_LENGTHS_WORD + number]!;
  }

  /** Peer family, 4 or 6. */
  get peerFamily(): number {
    return this.memory.words[this.at + 6]! & 0xffff;
  }

  get peerPort(): number {
    return this.memory.words[this.at + 6]! >>> 16;
  }

  /** The peer's address as text, IPv6 as RFC 5952 writes it. */
  peerAddress(): string {
    return addressText(this.memory.bytes, (this.at + 7) << 2, this.peerFamily);
  }

  /** TLS cipher suite and key-exchange group, by their IANA numbers. */
  get cipherSuite(): number {
    return this.memory.words[this.at + 11]! & 0xffff;
  }

  get keyGroup(): number {
    return this.memory.words[this.at + 11]! >>> 16;
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

  /** Value of the first field called `name` (lower case), or undefined. Walks the fields: for rules that need one, not for every head. */
  field(name: string): string | undefined {
    const memory = this.memory;
    let byte = this.pathByte + this.pathLength;
    for (let i = 0; i < this.fieldCount; i++) {
      const lengths = memory.words[this.at + HEAD_LENGTHS_WORD + i]!;
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
      const lengths = this.memory.words[this.at + HEAD_LENGTHS_WORD + i]!;
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
export class AttemptFailedReader {
  exchangeIndex = 0;
  exchangeGeneration = 0;
  /** Made so far; 1 = the first failed. */
  attempts = 0;
  slot = 0;
  tag = 0;
  reason = 0;
  flags = 0;
  durationUs = 0;
  connection = 0;
  plan = 0;
  memo0 = 0;
  memo1 = 0;
  memo2 = 0;
  /** Of the response that is held; 0 when none is. */
  status = 0;
  /** NONE when there is none. */
  grpcStatus = 0;
  /** Seconds, NONE when there is none. */
  retryAfterS = 0;
  /** Microseconds since the head was decoded. */
  ageUs = 0;

  private readonly memory: RecordMemory;
  private at = 0;

  constructor(memory: RecordMemory) {
    this.memory = memory;
  }

  read(at: number): void {
    const words = this.memory.words;
    this.at = at;
    this.exchangeIndex = words[at + 2]!;
    this.exchangeGeneration = words[at + 3]!;
    this.attempts = words[at + 4]!;
    this.slot = words[at + 5]!;
    this.tag = words[at + 6]!;
    this.reason = words[at + 7]!;
    this.flags = words[at + 8]!;
    this.durationUs = words[at + 9]!;
    this.connection = this.memory.floats[(at + 10) >>> 1]!;
    this.plan = words[at + 12]!;
    this.memo0 = words[at + 14]!;
    this.memo1 = words[at + 15]!;
    this.memo2 = words[at + 16]!;
    this.status = words[at + 17]!;
    this.grpcStatus = words[at + 18]!;
    this.retryAfterS = words[at + 19]!;
    this.ageUs = words[at + 20]!;
  }

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
    const start = (this.at + ATTEMPT_FAILED_TEXT_WORD) << 2;
    return this.memory.latin1(start, start + this.memory.words[this.at + 13]!);
  }
}

/** The hedge delay passed and no response head is here; the exchange goes on. */
export class LateReader {
  exchangeIndex = 0;
  exchangeGeneration = 0;
  attempts = 0;
  slot = 0;
  tag = 0;
  memo0 = 0;
  memo1 = 0;
  memo2 = 0;
  /** Microseconds since the decision of the running attempt. */
  durationUs = 0;
  /** Microseconds since the head was decoded. */
  ageUs = 0;

  private readonly words: Uint32Array;

  constructor(memory: RecordMemory) {
    this.words = memory.words;
  }

  read(at: number): void {
    const words = this.words;
    this.exchangeIndex = words[at + 2]!;
    this.exchangeGeneration = words[at + 3]!;
    this.attempts = words[at + 4]!;
    this.slot = words[at + 5]!;
    this.tag = words[at + 6]!;
    this.memo0 = words[at + 7]!;
    this.memo1 = words[at + 8]!;
    this.memo2 = words[at + 9]!;
    this.durationUs = words[at + 10]!;
    this.ageUs = words[at + 11]!;
  }
}

/** The end of an exchange. Times are microseconds. */
export class CompletionReader {
  exchangeIndex = 0;
  exchangeGeneration = 0;
  tag = 0;
  slot = 0;
  attempts = 0;
  /** Sent to the client; 0 when none was. */
  status = 0;
  reason = 0;
  flags = 0;
  listener = 0;
  decideUs = 0;
  openUs = 0;
  sendUs = 0;
  awaitUs = 0;
  totalUs = 0;
  rttUs = 0;
  bytesIn = 0;
  bytesOut = 0;
  connection = 0;
  startedMs = 0;
  /** Sent by the backend; 0 when none came. */
  backendStatus = 0;
  memo0 = 0;
  memo1 = 0;
  memo2 = 0;
  /** NONE when there is none. */
  grpcStatus = 0;
  /** Seconds, NONE when there is none. */
  retryAfterS = 0;
  /** Backend of the attempt that lost against the one that answered, NONE when there was none; and how long it ran. */
  loserSlot = 0;
  loserUs = 0;

  private readonly memory: RecordMemory;
  private at = 0;

  constructor(memory: RecordMemory) {
    this.memory = memory;
  }

  read(at: number): void {
    const words = this.memory.words;
    const floats = this.memory.floats;
    this.at = at;
    this.exchangeIndex = words[at + 2]!;
    this.exchangeGeneration = words[at + 3]!;
    this.tag = words[at + 4]!;
    this.slot = words[at + 5]!;
    this.attempts = words[at + 6]!;
    this.status = words[at + 7]!;
    this.reason = words[at + 8]!;
    this.flags = words[at + 9]!;
    this.listener = words[at + 10]!;
    this.decideUs = words[at + 16]!;
    this.openUs = words[at + 17]!;
    this.sendUs = words[at + 18]!;
    this.awaitUs = words[at + 19]!;
    this.totalUs = words[at + 20]!;
    this.rttUs = words[at + 21]!;
    this.bytesIn = floats[(at + 22) >>> 1]!;
    this.bytesOut = floats[(at + 24) >>> 1]!;
    this.connection = floats[(at + 26) >>> 1]!;
    this.startedMs = floats[(at + 28) >>> 1]!;
    this.backendStatus = words[at + 33]!;
    this.memo0 = words[at + 34]!;
    this.memo1 = words[at + 35]!;
    this.memo2 = words[at + 36]!;
    this.grpcStatus = words[at + 37]!;
    this.retryAfterS = words[at + 38]!;
    this.loserSlot = words[at + 39]!;
    this.loserUs = words[at + 40]!;
  }

  get peerFamily(): number {
    return this.memory.words[this.at + 11]! & 0xffff;
  }

  get peerPort(): number {
    return this.memory.words[this.at + 11]! >>> 16;
  }

  peerAddress(): string {
    return addressText(this.memory.bytes, (this.at + 12) << 2, this.peerFamily);
  }

  /** All text of the record in one string; the lengths below cut it. */
  text(): string {
    const words = this.memory.words;
    const start = (this.at + COMPLETION_TEXT_WORD) << 2;
    const length = this.requestIdLength + this.methodLength + this.authorityLength + this.pathLength + (words[this.at + 32]! & 0xffff);
    return this.memory.latin1(start, start + length + words[this.at + 41]!);
  }

  get requestIdLength(): number {
    return this.memory.words[this.at + 30]! & 0xffff;
  }

  get methodLength(): number {
    return this.memory.words[this.at + 30]! >>> 16;
  }

  get authorityLength(): number {
    return this.memory.words[this.at + 31]! & 0xffff;
  }

  get pathLength(): number {
    return this.memory.words[this.at + 31]! >>> 16;
  }

  get userAgentLength(): number {
    return this.memory.words[this.at + 32]! & 0xffff;
  }

  /**
   * Of the last text: fingerprint, serial number and subject of the client's certificate, a line
   * each. 0 where lines are not to tell it.
   */
  get certificateLength(): number {
    return this.memory.words[this.at + 41]!;
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
