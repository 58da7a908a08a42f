/**
 * The reactor's half of the records, for tests and benchmarks of the lane: encoders of what a reactor writes, decoders of what it reads, and
 * a ring memory to hold both. It follows `docs/design/records.md` on its own and uses none of the code under test but the constants.
 */

import {
  COMPLETED_COMMITTED,
  FAILED_IDEMPOTENT,
  FAILED_REPLAYABLE,
  FAILED_UNSENT,
  HEAD_IDEMPOTENT,
  KIND_ATTEMPT_FAILED,
  KIND_COMMIT,
  KIND_COMPLETION,
  KIND_FORWARD,
  KIND_HEAD,
  KIND_LATE,
  KIND_RESET,
  KIND_RESPOND,
  KIND_WAIT,
  KIND_WAKE,
  KIND_WRAP,
  LANE_HEAD_WORD,
  LANE_RING_BYTE,
  LANE_RING_BYTES,
  LANE_TAIL_WORD,
  MEMORY_BYTES,
  NONE,
  REACTOR_HEAD_WORD,
  REACTOR_RING_BYTE,
  REACTOR_RING_BYTES,
  REACTOR_TAIL_WORD,
  WAITING_WORD,
} from '../../src/record/layout.ts';

export interface SampleHead {
  index: number;
  generation: number;
  listener: number;
  flags: number;
  family: 4 | 6;
  port: number;
  address: readonly number[];
  cipherSuite: number;
  keyGroup: number;
  connection: number;
  contentLength: number;
  requestId: string;
  method: string;
  scheme: string;
  authority: string;
  path: string;
  fields: readonly (readonly [string, string])[];
  tag: number;
  memo0: number;
  memo1: number;
  memo2: number;
  ageUs: number;
  /** As a reactor writes it. */
  certificate: string;
}

export interface SampleAttemptFailed {
  index: number;
  generation: number;
  attempts: number;
  slot: number;
  tag: number;
  reason: number;
  flags: number;
  durationUs: number;
  connection: number;
  plan: number;
  requestId: string;
  memo0: number;
  memo1: number;
  memo2: number;
  status: number;
  grpcStatus: number;
  retryAfterS: number;
  ageUs: number;
}

export interface SampleLate {
  index: number;
  generation: number;
  attempts: number;
  slot: number;
  tag: number;
  memo0: number;
  memo1: number;
  memo2: number;
  durationUs: number;
  ageUs: number;
  plan: number;
}

export interface SampleCompletion {
  index: number;
  generation: number;
  tag: number;
  slot: number;
  attempts: number;
  status: number;
  reason: number;
  flags: number;
  listener: number;
  family: 4 | 6;
  port: number;
  address: readonly number[];
  decideUs: number;
  openUs: number;
  sendUs: number;
  awaitUs: number;
  totalUs: number;
  rttUs: number;
  bytesIn: number;
  bytesOut: number;
  connection: number;
  startedMs: number;
  backendStatus: number;
  requestId: string;
  method: string;
  authority: string;
  path: string;
  userAgent: string;
  memo0: number;
  memo1: number;
  memo2: number;
  grpcStatus: number;
  retryAfterS: number;
  loserSlot: number;
  loserUs: number;
  certificate: string;
}

/** A plain GET from 127.0.0.1; tests name what matters to them. */
export function sampleHead(given: Partial<SampleHead> = {}): SampleHead {
  return {
    index: 1,
    generation: 1,
    listener: 0,
    flags: HEAD_IDEMPOTENT,
    family: 4,
    port: 50_000,
    address: [127, 0, 0, 1],
    cipherSuite: 0x1301,
    keyGroup: 29,
    connection: 7,
    contentLength: -1,
    requestId: '0123456789abcdef0123456789abcdef',
    method: 'GET',
    scheme: 'https',
    authority: 'a.test',
    path: '/',
    fields: [],
    tag: NONE,
    memo0: 0,
    memo1: 0,
    memo2: 0,
    ageUs: 0,
    certificate: '',
    ...given,
  };
}

export function sampleAttemptFailed(given: Partial<SampleAttemptFailed> = {}): SampleAttemptFailed {
  return {
    index: 1,
    generation: 1,
    attempts: 1,
    slot: 0,
    tag: 0,
    reason: 32,
    flags: FAILED_UNSENT | FAILED_IDEMPOTENT | FAILED_REPLAYABLE,
    durationUs: 500,
    connection: 7,
    plan: 0,
    requestId: '',
    memo0: 0,
    memo1: 0,
    memo2: 0,
    status: 0,
    grpcStatus: NONE,
    retryAfterS: NONE,
    ageUs: 500,
    ...given,
  };
}

export function sampleLate(given: Partial<SampleLate> = {}): SampleLate {
  return {
    index: 1,
    generation: 1,
    attempts: 1,
    slot: 0,
    tag: 0,
    memo0: 0,
    memo1: 0,
    memo2: 0,
    durationUs: 20_000,
    ageUs: 20_000,
    plan: 0,
    ...given,
  };
}

export function sampleCompletion(given: Partial<SampleCompletion> = {}): SampleCompletion {
  return {
    index: 1,
    generation: 1,
    tag: NONE,
    slot: NONE,
    attempts: 1,
    status: 200,
    reason: 0,
    flags: COMPLETED_COMMITTED,
    listener: 0,
    family: 4,
    port: 50_000,
    address: [127, 0, 0, 1],
    decideUs: 12,
    openUs: 30,
    sendUs: 5,
    awaitUs: 800,
    totalUs: 1_000,
    rttUs: 250,
    bytesIn: 0,
    bytesOut: 1_024,
    connection: 7,
    startedMs: 1_700_000_000_000,
    backendStatus: 200,
    requestId: '0123456789abcdef0123456789abcdef',
    method: 'GET',
    authority: 'a.test',
    path: '/',
    userAgent: 'probe/1',
    memo0: 0,
    memo1: 0,
    memo2: 0,
    grpcStatus: NONE,
    retryAfterS: NONE,
    loserSlot: NONE,
    loserUs: 0,
    certificate: '',
    ...given,
  };
}

/** A decision as the reactor would read it. */
export type Decision =
  | {
      kind: 'forward';
      index: number;
      generation: number;
      plan: number;
      slot: number;
      tag: number;
      flags: number;
      connectTimeoutMs: number;
      placeTimeoutMs: number;
      clientLow: number;
      clientHigh: number;
      headTimeoutMs: number;
      idleTimeoutMs: number;
      exchangeTimeoutMs: number;
      maxBodyBytes: number;
      attemptTimeoutMs: number;
      hedgeDelayMs: number;
      memo: [number, number, number];
      replayBytes: number;
      /** Undefined keeps an earlier one. */
      values: (string | undefined)[];
    }
  | {
      kind: 'respond';
      index: number;
      generation: number;
      status: number;
      reason: number;
      tag: number;
      plan: number;
      memo: [number, number, number];
      fields: [string, string][];
      body: string;
    }
  | { kind: 'wait'; index: number; generation: number; tag: number; memo: [number, number, number]; waitMs: number; reason: number }
  | { kind: 'wake'; index: number; generation: number }
  | { kind: 'commit'; index: number; generation: number; tag: number; memo: [number, number, number]; reason: number }
  | { kind: 'reset'; index: number; generation: number; errorCode: number; reason: number };

/** Both rings, worked from the reactor's side. */
export class ReactorSide {
  readonly buffer: ArrayBuffer = new ArrayBuffer(MEMORY_BYTES);
  private readonly view = new DataView(this.buffer);
  private readonly bytes = Buffer.from(this.buffer);
  private readonly allWords = new Uint32Array(this.buffer);

  /** Starts all cursors at `cursor` (a multiple of 8), so that wraps of ring and of u32 come soon. */
  constructor(cursor = 0) {
    for (const word of [LANE_TAIL_WORD, LANE_HEAD_WORD, REACTOR_TAIL_WORD, REACTOR_HEAD_WORD]) this.set(word, cursor >>> 0);
  }

  /** Bytes in the ring towards the lane that were not read. */
  get waiting(): number {
    return (this.get(LANE_TAIL_WORD) - this.get(LANE_HEAD_WORD)) >>> 0;
  }

  offerHead(head: SampleHead): boolean {
    return this.write(KIND_HEAD, headBytes(head));
  }

  offerAttemptFailed(failed: SampleAttemptFailed): boolean {
    return this.write(KIND_ATTEMPT_FAILED, attemptFailedBytes(failed));
  }

  offerCompletion(completion: SampleCompletion): boolean {
    return this.write(KIND_COMPLETION, completionBytes(completion));
  }

  offerLate(late: SampleLate): boolean {
    return this.write(KIND_LATE, lateBytes(late));
  }

  /** How many exchanges the lane says are waiting. */
  get waitingWord(): number {
    return this.get(WAITING_WORD);
  }

  /** Writes an encoded record; false when the ring has no room. For benchmarks, which encode once. */
  write(kind: number, record: Buffer): boolean {
    const tail = this.get(LANE_TAIL_WORD);
    const position = tail % LANE_RING_BYTES;
    const rest = LANE_RING_BYTES - position;
    const isWrapped = record.length > rest;
    if (LANE_RING_BYTES - this.waiting < record.length + (isWrapped ? rest : 0)) return false;
    if (isWrapped) {
      this.view.setUint32(LANE_RING_BYTE + position, rest, true);
      this.view.setUint32(LANE_RING_BYTE + position + 4, KIND_WRAP, true);
    }
    const start = LANE_RING_BYTE + (isWrapped ? 0 : position);
    record.copy(this.bytes, start);
    this.view.setUint32(start, record.length, true);
    this.view.setUint32(start + 4, kind, true);
    this.set(LANE_TAIL_WORD, (tail + record.length + (isWrapped ? rest : 0)) >>> 0);
    return true;
  }

  /** Takes every decision there is. */
  decisions(): Decision[] {
    const found: Decision[] = [];
    for (let at = this.nextDecision(); at !== -1; at = this.nextDecision()) {
      found.push(decodeDecision(this.bytes, at));
      this.set(REACTOR_HEAD_WORD, (this.get(REACTOR_HEAD_WORD) + this.view.getUint32(at, true)) >>> 0);
    }
    return found;
  }

  /** Takes every decision there is, undecoded: `visit` gets the words of the memory and where the record's first one is. For benchmarks. */
  visitDecisions(visit: (words: Uint32Array, at: number) => void): void {
    for (let at = this.nextDecision(); at !== -1; at = this.nextDecision()) {
      visit(this.allWords, at / 4);
      this.set(REACTOR_HEAD_WORD, (this.get(REACTOR_HEAD_WORD) + this.view.getUint32(at, true)) >>> 0);
    }
  }

  /** Throws every decision away, unread. For benchmarks. */
  skipDecisions(): void {
    this.set(REACTOR_HEAD_WORD, this.get(REACTOR_TAIL_WORD));
  }

  private nextDecision(): number {
    for (;;) {
      const head = this.get(REACTOR_HEAD_WORD);
      if (head === this.get(REACTOR_TAIL_WORD)) return -1;
      const at = REACTOR_RING_BYTE + (head % REACTOR_RING_BYTES);
      if (this.view.getUint32(at + 4, true) !== KIND_WRAP) return at;
      this.set(REACTOR_HEAD_WORD, (head + this.view.getUint32(at, true)) >>> 0);
    }
  }

  private get(word: number): number {
    return this.view.getUint32(word * 4, true);
  }

  private set(word: number, value: number): void {
    this.view.setUint32(word * 4, value, true);
  }
}

export function headBytes(head: SampleHead): Buffer {
  const record = new Encoder(104);
  record.words(2, [head.index, head.generation, head.listener, head.flags, (head.port << 16) | head.family]);
  record.address(7, head.address);
  record.words(11, [(head.keyGroup << 16) | head.cipherSuite]);
  record.float(12, head.connection);
  record.float(14, head.contentLength);
  record.words(16, [
    (head.scheme.length << 16) | head.method.length,
    (head.path.length << 16) | head.authority.length,
    head.fields.length,
    head.requestId.length,
    head.tag,
    head.memo0,
    head.memo1,
    head.memo2,
    head.ageUs,
    head.certificate.length,
  ]);
  record.append(head.fields.map(([name, value]) => (value.length << 16) | name.length));
  return record.end([head.certificate, head.requestId, head.method, head.scheme, head.authority, head.path, ...head.fields.flat()]);
}

export function attemptFailedBytes(failed: SampleAttemptFailed): Buffer {
  const record = new Encoder(88);
  record.words(2, [
    failed.index,
    failed.generation,
    failed.attempts,
    failed.slot,
    failed.tag,
    failed.reason,
    failed.flags,
    failed.durationUs,
  ]);
  record.float(10, failed.connection);
  record.words(12, [
    failed.plan,
    failed.requestId.length,
    failed.memo0,
    failed.memo1,
    failed.memo2,
    failed.status,
    failed.grpcStatus,
    failed.retryAfterS,
    failed.ageUs,
  ]);
  return record.end([failed.requestId]);
}

export function lateBytes(late: SampleLate): Buffer {
  const record = new Encoder(56);
  record.words(2, [late.index, late.generation, late.attempts, late.slot, late.tag, late.memo0, late.memo1, late.memo2]);
  record.words(10, [late.durationUs, late.ageUs, late.plan]);
  return record.end([]);
}

export function completionBytes(done: SampleCompletion): Buffer {
  const record = new Encoder(168);
  record.words(2, [done.index, done.generation, done.tag, done.slot, done.attempts, done.status, done.reason, done.flags, done.listener]);
  record.words(11, [(done.port << 16) | done.family]);
  record.address(12, done.address);
  record.words(16, [done.decideUs, done.openUs, done.sendUs, done.awaitUs, done.totalUs, done.rttUs]);
  record.float(22, done.bytesIn);
  record.float(24, done.bytesOut);
  record.float(26, done.connection);
  record.float(28, done.startedMs);
  record.words(30, [
    (done.method.length << 16) | done.requestId.length,
    (done.path.length << 16) | done.authority.length,
    done.userAgent.length,
    done.backendStatus,
    done.memo0,
    done.memo1,
    done.memo2,
    done.grpcStatus,
    done.retryAfterS,
    done.loserSlot,
    done.loserUs,
    done.certificate.length,
  ]);
  return record.end([done.requestId, done.method, done.authority, done.path, done.userAgent, done.certificate]);
}

function decodeDecision(bytes: Buffer, at: number): Decision {
  const word = (place: number) => bytes.readUInt32LE(at + place * 4);
  const index = word(2);
  const generation = word(3);
  const kind = word(1);
  if (kind === KIND_RESET) return { kind: 'reset', index, generation, errorCode: word(4), reason: word(5) };
  if (kind === KIND_WAKE) return { kind: 'wake', index, generation };
  const triple = (place: number): [number, number, number] => [word(place), word(place + 1), word(place + 2)];
  if (kind === KIND_WAIT) return { kind: 'wait', index, generation, tag: word(4), memo: triple(5), waitMs: word(8), reason: word(9) };
  if (kind === KIND_COMMIT) return { kind: 'commit', index, generation, tag: word(4), memo: triple(5), reason: word(8) };
  if (kind === KIND_FORWARD) {
    const values: (string | undefined)[] = [];
    let text = at + (24 + word(19)) * 4;
    for (let i = 0; i < word(19); i++) {
      const length = word(24 + i);
      values.push(length === NONE ? undefined : bytes.toString('latin1', text, text + length));
      text += length === NONE ? 0 : length;
    }
    return {
      kind: 'forward',
      index,
      generation,
      plan: word(4),
      slot: word(5),
      tag: word(6),
      flags: word(7),
      connectTimeoutMs: word(8),
      placeTimeoutMs: word(21),
      clientLow: word(22),
      clientHigh: word(23),
      headTimeoutMs: word(9),
      idleTimeoutMs: word(10),
      exchangeTimeoutMs: word(11),
      maxBodyBytes: bytes.readDoubleLE(at + 48),
      attemptTimeoutMs: word(14),
      hedgeDelayMs: word(15),
      memo: triple(16),
      replayBytes: word(20),
      values,
    };
  }
  if (kind !== KIND_RESPOND) throw new Error(`no decision has kind ${kind}`);
  let byte = at + (14 + word(7)) * 4;
  const take = (length: number) => {
    byte += length;
    return bytes.toString('latin1', byte - length, byte);
  };
  const fields: [string, string][] = [];
  for (let i = 0; i < word(7); i++) fields.push([take(word(14 + i) & 0xffff), take(word(14 + i) >>> 16)]);
  return {
    kind: 'respond',
    index,
    generation,
    status: word(4),
    reason: word(5),
    tag: word(6),
    plan: word(9),
    memo: triple(10),
    fields,
    body: take(word(8)),
  };
}

/** Builds one record by word numbers. */
class Encoder {
  private fixed: Buffer;

  constructor(bytes: number) {
    this.fixed = Buffer.alloc(bytes);
  }

  words(from: number, values: readonly number[]): void {
    for (const [i, value] of values.entries()) this.fixed.writeUInt32LE(value >>> 0, (from + i) * 4);
  }

  float(word: number, value: number): void {
    this.fixed.writeDoubleLE(value, word * 4);
  }

  address(word: number, octets: readonly number[]): void {
    this.fixed.set(octets, word * 4);
  }

  append(values: readonly number[]): void {
    const more = Buffer.alloc(values.length * 4);
    for (const [i, value] of values.entries()) more.writeUInt32LE(value >>> 0, i * 4);
    this.fixed = Buffer.concat([this.fixed, more]);
  }

  end(texts: readonly string[]): Buffer {
    const text = Buffer.from(texts.join(''), 'latin1');
    const bytes = this.fixed.length + text.length;
    return Buffer.concat([this.fixed, text, Buffer.alloc((8 - (bytes % 8)) % 8)]);
  }
}
